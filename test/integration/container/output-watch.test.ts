import { createHash, randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { OutputPiece } from "../../../worker/container/output-watch.ts";
import type { ContainerResult } from "../../../worker/container/spec.ts";
import { MiB, type SpecChanges, TestSlot } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => void (slot = await TestSlot.open("python")));
afterAll(async () => await slot[Symbol.asyncDispose]());

/** A run that is under way. */
interface Watched {
  readonly pieces: readonly OutputPiece[];
  /** What came of a stream so far. */
  text(stream: OutputPiece["stream"]): string;
  /** Asks for the output. */
  want(): void;
  cancel(): void;
  readonly result: Promise<ContainerResult>;
}

function start(script: string, changes: SpecChanges = {}): Watched {
  const pieces: OutputPiece[] = [];
  const [wanted, canceled] = [new AbortController(), new AbortController()];
  const result = slot.slot.run(slot.spec(["bash", "-c", script], changes), canceled.signal, {
    wanted: wanted.signal,
    onOutput: (piece) => void pieces.push(piece),
  });
  return {
    pieces,
    text: (stream) =>
      Buffer.concat(pieces.filter((piece) => piece.stream === stream).map(({ bytes }) => bytes)).toString(),
    want: () => wanted.abort(),
    cancel: () => canceled.abort(),
    result,
  };
}

/** Whether there is a process with this in its command line, words apart by NULs. */
function isRunning(words: string): boolean {
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return ids.some((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8").includes(words);
    } catch {
      return false;
    }
  });
}

describe("what a program writes", () => {
  it("is shown while it runs, when it is asked for, from the beginning", async () => {
    const run = start("echo first; echo problem >&2; sleep 0.5; echo second; sleep 100");
    run.want();
    await vi.waitFor(() => expect(run.text("stdout")).toBe("first\nsecond\n"), 10_000);
    expect(run.text("stderr")).toBe("problem\n");
    run.cancel();
    expect(await run.result).toEqual({ kind: "canceled" });
  });

  it("is shown to who asks late, too", async () => {
    const pause = `1000.${randomInt(1e9, 1e10)}`;
    const run = start(`echo early; sleep ${pause}`);
    await vi.waitFor(() => expect(isRunning(`sleep\0${pause}`)).toBe(true), 10_000);
    expect(run.pieces).toEqual([]);
    run.want();
    await vi.waitFor(() => expect(run.text("stdout")).toBe("early\n"), 10_000);
    run.cancel();
    await run.result;
  });

  it("is not shown when nobody asks", async () => {
    const run = start("echo text");
    expect(await run.result).toMatchObject({ kind: "ended", exitCode: 0 });
    expect(run.pieces).toEqual([]);
  });

  it("begins the output that the result has whole, bytes as they are, and no more than its limit", async () => {
    const run = start("head -c 3000000 /dev/urandom; head -c 10 /dev/zero >&2", { limits: { outputBytes: 2 * MiB } });
    run.want();
    const result = await run.result;
    if (result.kind !== "ended") throw new Error(result.kind);
    expect(result).toMatchObject({ outcome: "output_limit", stdout: { truncated: true } });
    const shown = Buffer.concat(run.pieces.filter(({ stream }) => stream === "stdout").map(({ bytes }) => bytes));
    const begin = result.stdout.content.subarray(0, shown.length);
    expect(shown.length).toBeGreaterThan(0);
    const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
    expect(sha256(shown)).toBe(sha256(begin));
  });

  it("is shown of the next run only when that is asked for", async () => {
    const first = start("echo one; sleep 100");
    first.want();
    await vi.waitFor(() => expect(first.text("stdout")).toBe("one\n"), 10_000);
    first.cancel();
    await first.result;
    first.want();
    const second = start("echo two");
    await second.result;
    expect(second.pieces).toEqual([]);
  });
});
