/** Which of a worker's slots a job gets. */
import { expect, test } from "vitest";
import { SlotPool } from "../../../worker/slots.ts";
import { TestSlot } from "../../support/container.ts";

test("a job does not wait for a slot that is being made ready while another one is", async () => {
  await using resources = new AsyncDisposableStack();
  const opened = await Promise.all(
    [0, 1].map((index) => TestSlot.open("bash", {}, index, { containersMax: 1, idleMs: 60_000 })),
  );
  for (const slot of opened) resources.use(slot);
  const slots = opened.map(({ slot }) => slot);
  const pool = await SlotPool.open(2, async (index) => slots[index] ?? expect.unreachable());
  const { signal } = new AbortController();

  const first = await pool.acquire(signal);
  const [spec] = opened.map((slot) => slot.spec(["true"]));
  if (spec === undefined) expect.unreachable();
  expect(await first.slot.run(spec, signal)).toMatchObject({ kind: "ended" });
  first[Symbol.dispose]();
  // What is left of its container is being taken away.
  const second = await pool.acquire(signal);
  expect(second.slot).not.toBe(first.slot);
  second[Symbol.dispose]();

  await expect.poll(() => first.slot.isReady).toBe(true);
  // Both are: it is the one that was used last.
  using third = await pool.acquire(signal);
  expect(third.slot).toBe(second.slot);
});
