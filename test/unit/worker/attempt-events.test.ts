import { describe, expect, it, vi } from "vitest";
import { LongshoreError } from "../../../shared/errors.ts";
import type { NumberedEvent } from "../../../shared/job-events.ts";
import { AttemptEvents } from "../../../worker/attempt-events.ts";

/** An attempt whose events go to a list, by way of `append`. */
function open(append: (batch: readonly NumberedEvent[]) => Promise<"appended" | "lost">) {
  const wanted = new AbortController();
  const onFailure = vi.fn<(error: Error) => void>();
  const events = new AttemptEvents({ append, attempt: 3, wanted: wanted.signal, onFailure });
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

  it("of parts of the job say whose they are, and each counts its own bytes, from one program to the next", async () => {
    const { events, want, list } = openList();
    want();
    const show = (source: { shard: number } | { phase: "setup" }, pieces: readonly (string | Buffer)[]) => {
      const watch = events.outputOf(source, 100);
      for (const piece of pieces) watch.onOutput({ stream: "stdout", bytes: Buffer.from(piece) });
    };
    show({ phase: "setup" }, ["made"]);
    // What it began, nobody ends: it belongs to no program after it.
    show({ shard: 1 }, ["one", Buffer.of(0xc3)]);
    show({ shard: 2 }, ["other"]);
    show({ shard: 1 }, [Buffer.of(0xa4), "next"]);
    await events.close();
    expect(list.map((event) => ("bytes" in event ? [event.source, event.offset, text(event)] : []))).toEqual([
      [{ phase: "setup" }, 0, "made"],
      [{ shard: 1 }, 0, "one"],
      [{ shard: 2 }, 0, "other"],
      [{ shard: 1 }, 3, "\uFFFD"],
      [{ shard: 1 }, 4, "\uFFFD"],
      [{ shard: 1 }, 5, "next"],
    ]);
    expect(list.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("of parts are told up to a limit, of all programs together, and wait in memory up to it", async () => {
    const { events, want, list } = openList();
    for (let program = 0; program < 3; program++) {
      const watch = events.outputOf({ shard: 1 }, 10);
      for (const stream of ["stdout", "stderr"] as const) watch.onOutput({ stream, bytes: Buffer.from("1234") });
    }
    want();
    await events.close();
    expect(list.map((event) => `${event.name} ${text(event)}`)).toEqual([
      "stdout 1234",
      "stderr 1234",
      "stdout 1234",
      "stderr 1234",
      "stdout 12",
      "stderr 12",
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
