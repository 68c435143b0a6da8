import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ReportReaders } from "../../../worker/jobs/shard/reading/pool.ts";
import { ProcessLimitError } from "../../../worker/jobs/shard/reading/process-pool.ts";
import { readRecords, writeRecord } from "../../../worker/jobs/shard/reading/record.ts";
import type { RunTask } from "../../../worker/jobs/shard/reading/run-task.ts";
import type { ReportedRun } from "../../../worker/jobs/shard/report/merge-reports.ts";
import { makeFailed, makeTest } from "../../unit/shard/sample.ts";

const readers = new ReportReaders({ wallTimeMs: 60_000, heapBytes: 48 * 1024 ** 2 });
const { signal } = new AbortController();

/** More than there is memory for. */
const LONG = "x".repeat(10_000);
const LARGE = `<testsuite name="s">${`<testcase name="n"><failure>${LONG}</failure></testcase>`.repeat(6000)}</testsuite>`;
const SMALL = `<testsuite name="s"><testcase name="a"/></testsuite>`;

const run: ReportedRun = {
  shard: 0,
  round: 0,
  items: ["a", "b"],
  ending: "exit code 1",
  fault: null,
  suites: [],
  tests: [],
};

function task(parts: Pick<RunTask, "files" | "target">): RunTask {
  const { shard, round, items, ending } = run;
  const before = { tests: 0, passed: 0, failed: 0, errored: 0, skipped: 0, flaky: 0, lost: 2 };
  const room = { bytes: 64 * 1024 ** 2, tests: 200_000 };
  return { patterns: ["/out/*.xml"], room, shard, round, items, ending, before, earlier: [], ...parts };
}

describe("reports that take too much memory", () => {
  it("are a fault that names the report and the way out, and the next are read", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-reading-"));
    const [file, target] = ["report", "record"].map((name) => join(directory.path, name)) as [string, string];
    await writeFile(file, LARGE);
    const small = { path: "/out/a.xml", content: Buffer.from(SMALL), sha256: "" };
    const large = { path: "/out/b.xml", file, bytes: LARGE.length, sha256: "" };
    const reading = await readers.read(task({ files: [small, large], target }), signal);
    expect(reading).toMatchObject({
      fault:
        "/out/b.xml: reading it takes more than 50331648 bytes of memory: have tests print less, or run fewer of them " +
        "by one command",
      used: { bytes: LARGE.length + SMALL.length, tests: 0 },
      merged: { tests: 0, lost: 2 },
      repeat: ["a", "b"],
    });
    await expect(readFile(file)).rejects.toThrow("ENOENT");
    expect(await readRecords([target])).toEqual([{ ...run, fault: reading.fault }]);

    const next = await readers.read(task({ files: [small], target }), signal);
    expect(next).toMatchObject({ fault: null, tests: 1, merged: { tests: 1, lost: 1 }, repeat: ["b"] });
  });

  it("cannot be merged, which is said in place of a result", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-reading-"));
    const [file, target] = ["record", "report"].map((name) => join(directory.path, name)) as [string, string];
    const tests = Array.from({ length: 6000 }, (_, index) => makeFailed({ name: `${index}` }, { details: LONG }));
    await writeRecord(file, { ...run, tests });
    const parts = [{ state: "done" as const, file, fault: null, wallTimesMs: [] }];
    const merging = readers.merge({ plan: { parts: [], batches: [] }, parts, name: "suite", target }, signal);
    await expect(merging).rejects.toThrow(ProcessLimitError);
  });
});

describe("what shards have reported", () => {
  it("tells what a command takes besides its tests, by the one that takes least", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-reading-"));
    const merge = async (name: string, commands: readonly { wallMs: number; testsMs: readonly number[] }[]) => {
      const file = join(directory.path, name);
      const written = commands.map(async ({ testsMs }, round) => {
        const tests = testsMs.map((timeMs, index) => makeTest({ name: `${index}`, timeMs }));
        await writeRecord(`${file}-${round}`, { ...run, round, tests });
        return await readFile(`${file}-${round}`);
      });
      await writeFile(file, Buffer.concat(await Promise.all(written)));
      const wallTimesMs = commands.map(({ wallMs }) => wallMs);
      const parts = [{ state: "done" as const, file, fault: null, wallTimesMs }];
      const task = { plan: { parts: [], batches: [] }, parts, name: "suite", target: `${file}-report` };
      return (await readers.merge(task, new AbortController().signal)).startMs;
    };
    const slow = { wallMs: 5000, testsMs: [1000, 1500] };
    expect(await merge("a", [slow, { wallMs: 1300, testsMs: [100, 200] }])).toBe(1000);
    // What reports no times says nothing, and what runs tests beside each other that it starts at once.
    expect(await merge("b", [slow, { wallMs: 100, testsMs: [0] }])).toBe(2500);
    expect(await merge("c", [slow, { wallMs: 100, testsMs: [90, 90] }])).toBe(0);
    expect(await merge("d", [{ wallMs: 100, testsMs: [] }])).toBeUndefined();
  });
});

describe("a record of commands", () => {
  it("is read as it was written, in files of several of them, whatever the tests print", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-record-"));
    const paths = ["a", "b"].map((name) => join(directory.path, name)) as [string, string];
    const facts = { name: "pytest", timestamp: null, hostname: "vm", properties: [{ name: "a", value: "\n" }] };
    const printed = makeFailed({}, { details: "\u2028 \r\n \u{1F600}".repeat(20_000) });
    const runs = [
      { ...run, suites: [facts], tests: [printed, makeTest()] },
      run,
      { ...run, round: 1, tests: [makeTest()] },
    ];
    for (const [index, each] of runs.entries()) {
      await writeRecord(join(directory.path, `run-${index}`), each);
    }
    const written = await Promise.all(runs.map((_, index) => readFile(join(directory.path, `run-${index}`))));
    await writeFile(paths[0], Buffer.concat(written.slice(0, 2)));
    await writeFile(paths[1], Buffer.concat(written.slice(2)));
    expect(await readRecords(paths)).toEqual(runs);
  });
});
