import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { ChangeLines, LiveLines } from "../../../../services/cli/shard/displays.ts";
import { describeStanding } from "../../../../services/cli/shard/lines.ts";
import { type OutputMode, SuiteProgress } from "../../../../services/cli/shard/progress.ts";
import { readSuiteEvent, type SuiteEvent } from "../../../../services/cli/shard/suite-events.ts";
import type { PhaseEvent, ShardEvent } from "../../../../shared/shard-result.ts";
import { makeEvent, makePhase, noCounts } from "./sample.ts";

const shard = (parts: Partial<ShardEvent> = {}): SuiteEvent => ({ kind: "shard", event: makeEvent(parts) });
const phase = (parts: Partial<PhaseEvent> = {}): SuiteEvent => ({ kind: "phase", event: makePhase(parts) });
const output = (part: string, text: string | Buffer, stream: "stdout" | "stderr" = "stdout"): SuiteEvent => ({
  kind: "output",
  part,
  stream,
  bytes: Buffer.from(text),
});

/** What a log has in the end. */
function logOf(events: readonly SuiteEvent[], mode: OutputMode = "last line"): string[] {
  const lines: string[] = [];
  using progress = new SuiteProgress(new ChangeLines((line) => lines.push(line)), mode);
  for (const event of events) progress.show(event);
  return lines;
}

/** What is left on a terminal of so many columns. */
function terminalOf(events: readonly SuiteEvent[], columns = 100, mode: OutputMode = "last line"): string[] {
  const stream = Object.assign(new PassThrough(), { columns, rows: 24 });
  {
    using progress = new SuiteProgress(new LiveLines(stream), mode);
    for (const event of events) progress.show(event);
  }
  return stripVTControlCharacters(String(stream.read())).split("\n").slice(0, -1);
}

describe("the line of a part", () => {
  it.each([
    [makeEvent(), "shard  2/12  running   3 of 10 items  6 passed, 1 failed  1.50 s  worker-1"],
    [
      makeEvent({ itemsTotal: null, attempt: 2, wallTimeMs: 61_000 }),
      "shard  2/12  running   3 items  6 passed, 1 failed  61.0 s  worker-1  attempt 2",
    ],
    [makeEvent({ state: "queued", worker: null, counts: noCounts }), "shard  2/12  queued"],
  ])("says how far a shard is: %j", (event, line) => {
    expect(describeStanding({ kind: "shard", event }, 0)).toBe(line);
  });

  it.each([
    [makePhase(), "setup      running   0.00 s  worker-1"],
    [makePhase({ state: "done", cached: true, wallTimeMs: 12 }), "setup      done      cached  0.01 s  worker-1"],
    [makePhase({ phase: "discover", state: "done", items: 174 }), "discover   done      174 items  0.00 s  worker-1"],
    [makePhase({ state: "failed", wallTimeMs: 20_000 }), "setup      failed    20.0 s  worker-1"],
  ])("says what becomes of a phase: %j", (event, line) => {
    expect(describeStanding({ kind: "phase", event }, 0)).toBe(line);
  });

  it("goes on counting seconds between events", () => {
    expect(describeStanding({ kind: "shard", event: makeEvent() }, 1000)).toContain("2.50 s");
  });
});

describe("in a log", () => {
  it("each phase and each shard has a line when it begins and when it ends", () => {
    const lines = logOf([
      { kind: "attempt", attempt: 1 },
      phase(),
      output("setup", "Collecting numpy\n"),
      phase({ state: "done" }),
      shard({ state: "queued", attempt: 0 }),
      ...[1, 2, 3].map((items) => shard({ items })),
      shard({ shard: 3 }),
      shard({ state: "done" }),
    ]);
    expect(lines.map((line) => line.slice(0, 20).trimEnd())).toEqual([
      "setup      running",
      "setup      done",
      "shard  2/12  running",
      "shard  3/12  running",
      "shard  2/12  done",
    ]);
  });

  it("what begins anew, since its worker was lost, has its lines once more", () => {
    const lines = logOf([
      { kind: "attempt", attempt: 1 },
      phase(),
      { kind: "attempt", attempt: 2 },
      phase(),
      shard(),
      shard({ state: "queued" }),
      shard({ attempt: 2 }),
    ]);
    expect(lines.map((line) => line.slice(0, 20).trimEnd())).toEqual([
      "setup      running",
      "setup      running",
      "shard  2/12  running",
      "shard  2/12  queued",
      "shard  2/12  running",
    ]);
  });
});

describe("output that is streamed", () => {
  it("says of each line whose it is", () => {
    const lines = logOf(
      [
        output("setup", "one\n\ntwo\n", "stderr"),
        output("shard 2", "a"),
        output("shard 1", "other\n"),
        output("shard 2", "b\r\n"),
      ],
      "streamed",
    );
    expect(lines).toEqual(["setup | one", "setup |", "setup | two", "shard 1 | other", "shard 2 | ab"]);
  });

  it("has lines that nobody ends when whoever printed them has ended, or goes on with another command", () => {
    const lines = logOf([output("shard 2", "half"), shard(), output("shard 2", "whole\n")], "streamed");
    expect(lines[0]).toBe("shard 2 | half");
    expect(lines[2]).toBe("shard 2 | whole");
  });

  it("has characters whole that came in pieces", () => {
    const bytes = Buffer.from("ä€😀\n");
    const pieces = [...bytes].map((byte) => output("setup", Buffer.from([byte])));
    expect(logOf(pieces, "streamed")).toEqual(["setup | ä€😀"]);
  });

  it("lets no program begin a line, or reach the terminal", () => {
    const text = "::error::forged\n\u001B[2J\u001B[31mred\u001B[0m\u0007\n10%\r50%\r100%\n\ta\tb\n";
    expect(logOf([output("shard 1", text)], "streamed")).toEqual([
      "shard 1 | ::error::forged",
      "shard 1 | red\\x07",
      "shard 1 | 100%",
      "shard 1 |     a    b",
    ]);
  });

  it("stands above the lines of a terminal that change", () => {
    const lines = terminalOf([shard(), output("shard 2", "one\ntwo\n")], 100, "streamed");
    expect(lines.slice(0, 2)).toEqual(["shard 2 | one", "shard 2 | two"]);
    expect(lines.at(-1)).toMatch(/^shard {2}2\/12 {2}running .* worker-1$/);
  });
});

describe("in a terminal", () => {
  it("phases come first, shards in their order, and what runs has its last line of output", () => {
    const lines = terminalOf([
      shard({ shard: 3 }),
      shard({ shard: 2, state: "done" }),
      phase({ phase: "discover", state: "done", items: 10 }),
      phase(),
      output("setup", "Collecting numpy\nUnpacking"),
      output("shard 2", "over\n"),
      output("shard 3", "tests/test_a.py ..."),
      output("shard 3", ".\n\n"),
    ]);
    expect(lines.map((line) => line.replace(/[\d.]+ s {2}worker-1/, "…"))).toEqual([
      "setup      running   …  | Unpacking",
      "discover   done      10 items  …",
      "shard  2/12  done      3 of 10 items  6 passed, 1 failed  …",
      "shard  3/12  running   3 of 10 items  6 passed, 1 failed  …  | tests/test_a.py ....",
    ]);
  });

  it("each has one line, however long its output is, and however narrow the terminal", () => {
    const events = [phase(), output("setup", "x".repeat(500))];
    expect(terminalOf(events, 60)).toEqual([expect.stringMatching(/^setup .{20,} {2}\| x+$/)]);
    expect(terminalOf(events, 60)[0]).toHaveLength(60);
    expect(terminalOf(events, 40)[0]).not.toContain("|");
  });
});

describe("an event of the API", () => {
  const sent = (name: string, data: unknown) => readSuiteEvent({ id: "", name, data: JSON.stringify(data) });

  it("is of a part, of an attempt, or of nobody who is shown", () => {
    expect(sent("state", { id: "x", state: "running", attempt: 2 })).toEqual({ kind: "attempt", attempt: 2 });
    expect(sent("phase", makePhase())).toEqual(phase());
    expect(sent("shard", makeEvent())).toEqual(shard());
    const piece = { offset: 0, content: "AP8=", encoding: "base64" };
    expect(sent("stdout", { ...piece, shard: 3 })).toEqual(output("shard 3", Buffer.from([0, 255])));
    expect(sent("stderr", { ...piece, phase: "setup" })).toEqual(output("setup", Buffer.from([0, 255]), "stderr"));
    expect([sent("stdout", piece), sent("result", {})]).toEqual([undefined, undefined]);
  });
});
