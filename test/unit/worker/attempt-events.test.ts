import { describe, expect, it, vi } from "vitest";
import { LongshoreError } from "../../../shared/errors.ts";
import type { JobEvents, NumberedEvent } from "../../../shared/job-events.ts";
import { AttemptEvents } from "../../../worker/attempt-events.ts";

/** An attempt whose events go to a list, by way of `append`. */
function open(append: (batch: readonly NumberedEvent[]) => Promise<"appended" | "lost">) {
  const wanted = new AbortController();
  const onFailure = vi.fn<(error: Error) => void>();
  const store: Pick<JobEvents, "append"> = { append: async (_id, _attempt, batch) => await append(batch) };
  const events = new AttemptEvents({
    events: store,
    job: "job",
    attempt: 3,
    token: "token",
    wanted: wanted.signal,
    onFailure,
  });
  const write = (text: string | Buffer, stream: "stdout" | "stderr" = "stdout") =>
    events.output.onOutput({ stream, bytes: Buffer.from(text) });
  return { events, write, want: () => wanted.abort(), onFailure };
}

/** As {@link open}, with a store that takes everything. */
function openList() {
  const list: NumberedEvent[] = [];
  const append = async (batch: readonly NumberedEvent[]) => {
    list.push(...batch);
    return "appended" as const;
  };
  return { ...open(append), list };
}

const text = (event: NumberedEvent): string => ("bytes" in event ? Buffer.from(event.bytes).toString() : "");

describe("events of an attempt", () => {
  it("are told to nobody until somebody watches, and then all, in their order", async () => {
    const { events, write, want, list } = openList();
    events.report({ name: "case", data: { name: "1" } });
    write("a");
    await events.close();
    expect(list).toEqual([]);
    const second = openList();
    second.events.report({ name: "case", data: { name: "1" } });
    second.write("a");
    second.want();
    second.write("b", "stderr");
    second.write("cd");
    second.write("e");
    await second.events.close();
    expect(second.list).toMatchObject([
      { attempt: 3, sequence: 1, name: "case", data: { name: "1" } },
      { attempt: 3, sequence: 2, name: "stdout", offset: 0 },
      { attempt: 3, sequence: 3, name: "stderr", offset: 0 },
      { attempt: 3, sequence: 4, name: "stdout", offset: 1 },
      { attempt: 3, sequence: 5, name: "stdout", offset: 3 },
    ]);
    want();
  });

  it("do not cut characters, and count their bytes", async () => {
    const { events, write, want, list } = openList();
    want();
    const bytes = Buffer.from("ä€😀");
    for (const byte of bytes) write(Buffer.of(byte));
    write(Buffer.of(0xc3));
    await events.close();
    expect(list.map((event) => [text(event), "offset" in event && event.offset])).toEqual([
      ["ä", 0],
      ["€", 2],
      ["😀", 5],
    ]);
  });

  it("are told again when Redis could not take them, and nothing overtakes them", async () => {
    const list: string[] = [];
    let refusals = 2;
    const { events, write, want, onFailure } = open(async (batch) => {
      if (refusals-- > 0) throw new LongshoreError("redis_unavailable");
      list.push(...batch.map(text));
      return "appended";
    });
    want();
    write("a");
    write("b");
    await vi.waitFor(() => expect(list).toEqual(["a", "b"]), 5000);
    expect(onFailure).toHaveBeenCalledTimes(2);
    await events.close();
  });

  it("are given up at the end, when Redis does not take them", async () => {
    const { events, write, want, onFailure } = open(async () => {
      throw new LongshoreError("redis_unavailable");
    });
    want();
    write("a");
    await events.close();
    expect(onFailure).toHaveBeenCalled();
  });

  it("end when another attempt has the job", async () => {
    const append = vi.fn<() => Promise<"lost">>(async () => "lost");
    const { events, write, want } = open(append);
    want();
    write("a");
    await vi.waitFor(() => expect(append).toHaveBeenCalledTimes(1));
    write("b");
    await events.close();
    expect(append).toHaveBeenCalledTimes(1);
  });

  it("go in batches that Redis is not busy with for long", async () => {
    const sizes: number[] = [];
    const { events, write, want } = open(async (batch) => {
      sizes.push(batch.reduce((sum, event) => sum + ("bytes" in event ? event.bytes.byteLength : 0), 0));
      return "appended";
    });
    for (let count = 0; count < 64; count++) write(Buffer.alloc(65_536, "x"));
    want();
    await events.close();
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(64 * 65_536);
    expect(Math.max(...sizes)).toBe(262_144);
  });
});
