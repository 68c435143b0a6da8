/** Suites that are split, run and merged by one worker. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ShardResult } from "../../../shared/shard-result.ts";
import type { WorkerProcess } from "../../support/worker.ts";
import { python, resultOf, ShardBench } from "./client.ts";
import { RUNNER, testFile } from "./suite.ts";

let bench: ShardBench;
let worker: WorkerProcess;

beforeAll(async () => {
  bench = await ShardBench.open();
  worker = await bench.startWorker();
});

afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

const files = [
  { path: "run.py", content: RUNNER },
  {
    path: "tests/test_a.py",
    content: testFile({ test_1: "pass", test_2: "self.assertEqual(1, 2)", test_3: "self.skipTest('later')" }),
  },
  { path: "tests/test_b.py", content: testFile({ test_1: "raise OSError('gone')", test_2: "pass", test_3: "pass" }) },
];

const suite = {
  files,
  discover: ["python3", "run.py", "--list"],
  command: ["python3", "run.py", "/out/junit.xml", "{items}"],
  shards: 3,
};

/** Writes a report of tests that pass: the items, in their order. */
const REPORT_ITEMS = `import sys
cases = "".join(f'<testcase classname="t" name="{item}" time="0.01"/>' for item in sys.argv[1:])
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")`;

/** Which items each shard has run, by what its tests are called. */
function namesOf({ slowest }: ShardResult): string[] {
  return slowest.map(({ name }) => name).toSorted();
}

describe("a suite that is discovered", () => {
  it("is run by all shards, and each test is counted once", async () => {
    const job = await bench.run(suite);
    const result = resultOf(job);
    expect(result).toMatchObject({
      outcome: "failed",
      message: "1 test failed; 1 test broke",
      counts: { tests: 6, passed: 3, failed: 1, errored: 1, skipped: 1, flaky: 0, lost: 0 },
      discovery: { exitCode: 0, ignoredLines: 1 },
      setup: null,
    });
    expect(result.shards.map(({ shard, state, items }) => [shard, state, items])).toEqual([
      [1, "done", 2],
      [2, "done", 2],
      [3, "done", 2],
    ]);
    const [failure, error] = result.failures.toSorted((a, b) => (a.outcome > b.outcome ? -1 : 1));
    expect(failure).toMatchObject({ classname: "tests.test_a.Tests", name: "test_2", runs: 1 });
    expect(failure?.message).toContain("1 != 2");
    expect(error).toMatchObject({ outcome: "errored", message: "OSError: gone" });

    const report = await bench.report(job.id);
    expect(report.match(/<testcase /g)).toHaveLength(6);
    expect(report).toContain('tests="6" failures="1" errors="1" skipped="1"');
  });

  it("passes when every test does", async () => {
    const passing = [files[0], { path: "tests/test_a.py", content: testFile({ test_1: "pass", test_2: "pass" }) }];
    expect(await bench.result({ ...suite, files: passing })).toMatchObject({ outcome: "passed", message: "" });
  });

  it("has a clear outcome when there is nothing in it", async () => {
    const job = await bench.run({ ...suite, files: [files[0]] });
    expect(resultOf(job)).toMatchObject({ outcome: "no_items", discovery: { exitCode: 0, ignoredLines: 1 } });
    const empty = await bench.run({ ...suite, discover: ["true"] });
    expect(resultOf(empty)).toMatchObject({ outcome: "no_items", message: "no items were discovered", shards: [] });
    const response = await bench.api.fetch(`/v1/jobs/${empty.id}/report.xml`);
    expect([response.status, ((await response.json()) as { error: object }).error]).toMatchObject([
      404,
      { code: "report_not_found" },
    ]);
  });

  it("has a clear outcome when the discovery fails", async () => {
    const discover = python("import sys; print('a'); print('no such module', file=sys.stderr); sys.exit(2)");
    const result = await bench.result({ ...suite, discover });
    expect(result).toMatchObject({
      outcome: "discovery_failed",
      message: "the items cannot be discovered: exit code 2: see discovery",
      discovery: { exitCode: 2, stderr: { content: "no such module\n" } },
      shards: [],
    });
  });
});

describe("a set-up", () => {
  const setup = python("import os, time; open('/work/made', 'w').write(str(time.time())); os.symlink('made', 'link')");
  const command = python(`${REPORT_ITEMS}; print(open("/work/link").read())`).concat("{items}");
  const body = { setup, command, items: ["a", "b"], shards: 2 };

  it("is run once for all shards, and not again for the same image, layers and command", async () => {
    const first = await bench.run(body);
    expect(resultOf(first)).toMatchObject({ outcome: "passed", setup: { exitCode: 0, cached: false } });
    const again = await bench.run(body);
    expect(resultOf(again)).toMatchObject({ outcome: "passed", setup: { exitCode: 0, cached: true } });
    // Set up within other limits, it could be another one.
    const narrow = await bench.run({ ...body, limits: { processes: 16 } });
    expect(resultOf(narrow)).toMatchObject({ outcome: "passed", setup: { exitCode: 0, cached: false } });
    const logs = [
      await bench.output(first.id, "logs/shard-1.log"),
      await bench.output(first.id, "logs/shard-2.log"),
      await bench.output(again.id, "logs/shard-1.log"),
    ];
    expect(new Set(logs).size).toBe(1);
  });

  it("that fails is the outcome of the job, with what it printed", async () => {
    const failing = python("import sys; sys.exit('no such package')");
    expect(await bench.result({ ...body, setup: failing })).toMatchObject({
      outcome: "setup_failed",
      setup: { exitCode: 1, stderr: { content: "no such package\n" }, cached: false },
      shards: [],
    });
  });
});

describe("items that are given", () => {
  it("are arguments, whatever they look like", async () => {
    const items = ["a b", "$(id)", "--option", "*", "{shard}"];
    const result = await bench.result({ items, shards: 2, command: python(REPORT_ITEMS).concat("{items}") });
    expect(namesOf(result)).toEqual(items.toSorted());
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 5, lost: 0 } });
  });

  it("are run by no more shards than there are items", async () => {
    const result = await bench.result({
      items: ["a", "b"],
      shards: 5,
      command: python(REPORT_ITEMS).concat("{items}"),
    });
    expect(result.shards).toHaveLength(2);
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 2 } });
  });

  it("may be none", async () => {
    const result = await bench.result({ items: [], command: ["true", "{items}"] });
    expect(result).toMatchObject({ outcome: "no_items", message: "there are no items" });
  });

  it("that do not fit in a command line are run by several", async () => {
    const items = Array.from({ length: 2000 }, (_, index) => `test-${index}-${"x".repeat(80)}`);
    const result = await bench.result({ items, shards: 1, command: python(REPORT_ITEMS).concat("{items}") });
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 2000, lost: 0 } });
    expect(result.shards[0]?.runs.length).toBeGreaterThan(1);
  });

  it("are dealt in turn by round-robin", async () => {
    const items = ["a", "b", "c", "d", "e"];
    const program = `${REPORT_ITEMS}; print(*sys.argv[1:])`;
    const job = await bench.run({
      items,
      shards: 2,
      strategy: "round-robin",
      command: python(program).concat("{items}"),
    });
    expect(await bench.output(job.id, "logs/shard-1.log")).toBe("a c e\n");
    expect(await bench.output(job.id, "logs/shard-2.log")).toBe("b d\n");
  });
});

describe("what items took before", () => {
  const program = (times: string) => `import sys
times = ${times}
cases = "".join(f'<testcase classname="t" name="{i}" time="{times[i]}"/>' for i in sys.argv[1:])
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")
print(*sys.argv[1:])`;
  const times = "{'a': 9, 'b': 3, 'c': 3, 'd': 3, 'e': 1}";
  const body = { items: ["a", "b", "c", "d", "e"], shards: 2, command: python(program(times)).concat("{items}") };

  it("decides who runs what, of the same suite only", async () => {
    const first = await bench.result({ ...body, suite: "timed" });
    expect(first.shards.map(({ expectedMs }) => expectedMs)).toEqual([null, null]);
    const second = await bench.run({ ...body, suite: "timed" });
    expect(resultOf(second).shards.map(({ expectedMs }) => expectedMs)).toEqual([10_000, 9000]);
    expect(await bench.output(second.id, "logs/shard-1.log")).toBe("a e\n");
    expect(await bench.output(second.id, "logs/shard-2.log")).toBe("b c d\n");
    const other = await bench.result({ ...body, suite: "another" });
    expect(other.shards.map(({ expectedMs }) => expectedMs)).toEqual([null, null]);
  });

  it("is an average that follows the last times", async () => {
    await bench.result({ ...body, suite: "average" });
    await bench.result({
      ...body,
      suite: "average",
      command: python(program("dict.fromkeys('abcde', 1)")).concat("{items}"),
    });
    const third = await bench.result({ ...body, suite: "average" });
    // Halfway from what it was to what it is: 5, 2, 2, 2, 1 seconds.
    expect(third.shards.map(({ expectedMs }) => expectedMs)).toEqual([6000, 6000]);
  });
});

describe("a shard", () => {
  it("knows which one it is", async () => {
    const program = `import os, sys
names = "LONGSHORE_SHARD LONGSHORE_SHARDS CI_NODE_INDEX CI_NODE_TOTAL CIRCLE_NODE_INDEX MINE"
print(*(os.environ.get(name) for name in names.split()), sys.argv[1])
open("/out/junit.xml", "w").write("<testsuite><testcase name='x'/></testsuite>")`;
    const job = await bench.run({
      shards: 2,
      command: [...python(program), "--shard={shard}/{shards}"],
      environment: { MINE: "yes", CI_NODE_TOTAL: "7" },
    });
    expect(resultOf(job)).toMatchObject({ outcome: "passed", counts: { tests: 2 } });
    expect(await bench.output(job.id, "logs/shard-2.log")).toBe("2 2 2 7 1 yes --shard=2/2\n");
  });

  it("returns files, and its output as a whole", async () => {
    const program = `${REPORT_ITEMS}
import os
os.mkdir("build"); open("build/coverage.json", "w").write("{}"); open("/out/extra.txt", "w").write("x")
print("first"); sys.stdout.write("0123456789" * 1_000_000); print("last")`;
    const job = await bench.run({
      items: ["a"],
      outputs: ["build/*", "/out/*", "missing"],
      command: python(program).concat("{items}"),
    });
    const [shard] = resultOf(job).shards;
    expect(resultOf(job).outcome).toBe("passed");
    expect(shard?.outputs.map(({ path }) => path).toSorted()).toEqual([
      "logs/shard-1.log",
      "shard-1/build/coverage.json",
      "shard-1/missing",
      "shard-1/out/extra.txt",
      "shard-1/out/junit.xml",
    ]);
    expect(await bench.output(job.id, "shard-1/build/coverage.json")).toBe("{}");
    expect(await bench.output(job.id, "logs/shard-1.log")).toBe(`first\n${"0123456789".repeat(1_000_000)}last\n`);
    expect(shard?.stdout).toMatchObject({ truncated: true, bytes: 16 * 1024 });
    expect(shard?.stdout.content.endsWith("9last\n")).toBe(true);
  });

  it("is lost with its items when it leaves no report, and what it printed is shown", async () => {
    const result = await bench.result({
      items: ["a", "b"],
      shards: 1,
      command: python("import sys; sys.exit('cannot import the tests')").concat("{items}"),
    });
    expect(result).toMatchObject({
      outcome: "failed",
      counts: { tests: 0, lost: 2 },
      lost: [
        { item: "a", shard: 1, reason: "no_report" },
        { item: "b", shard: 1, reason: "no_report" },
      ],
      shards: [{ stderr: { content: "cannot import the tests\n" }, runs: [{ exitCode: 1 }] }],
    });
    expect(result.shards[0]?.runs[0]?.fault).toBe("there is no report at /out/*.xml");
  });

  it("does not pass when its command fails and its tests do not", async () => {
    const program = `${REPORT_ITEMS}; sys.exit(3)`;
    expect(await bench.result({ items: ["a"], command: python(program).concat("{items}") })).toMatchObject({
      outcome: "failed",
      message: "shard 1: exit code 3",
      counts: { tests: 1, passed: 1 },
    });
  });

  it("does not pass without a report of its own splitting", async () => {
    const command = [
      "sh",
      "-c",
      "test $LONGSHORE_SHARD = 2 || echo '<testsuite><testcase name=\"x\"/></testsuite>' > /out/a.xml; : {shard}",
    ];
    expect(await bench.result({ shards: 2, command })).toMatchObject({
      outcome: "failed",
      message: "shard 2: there is no report at /out/*.xml",
      counts: { tests: 1, passed: 1 },
    });
  });

  it("is ended at its limits, as any container", async () => {
    const program = `${REPORT_ITEMS}
import time
time.sleep(60)`;
    const limits = { wallTimeMs: 1000 };
    expect(await bench.result({ items: ["a"], limits, command: python(program).concat("{items}") })).toMatchObject({
      outcome: "failed",
      message: "shard 1: ended by its wall limit",
      counts: { passed: 1 },
      shards: [{ runs: [{ outcome: "wall_limit" }] }],
    });
  });
});

describe("a report", () => {
  const reporting = (document: string, more = "") =>
    bench.result({
      items: ["a", "b"],
      shards: 1,
      command: python(`open("/out/junit.xml", "w").write(${document})${more}`).concat("{items}"),
    });

  it("that has not all items leaves the others lost", async () => {
    expect(await reporting(`'<testsuite><testcase classname="t" name="a"/></testsuite>'`)).toMatchObject({
      outcome: "failed",
      message: "1 item is lost",
      lost: [{ item: "b", shard: 1, reason: "not_reported" }],
    });
  });

  it.each([
    ["is cut", `'<testsuite><testcase classname="t" name="a"/><testcase classname="t" na'`],
    ["is no XML", `"Traceback"`],
    ["is empty", `""`],
    ["has entities of its own", `'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>'`],
    ["is of 100 MB", `"<testsuite>" + "<!--" + "x" * 100_000_000 + "--></testsuite>"`],
    ["is deep", `"<testsuite>" * 100_000`],
  ])("does not pass that %s", async (_, document) => {
    const result = await reporting(document);
    expect(result.outcome).toBe("failed");
    expect(result.counts.lost).toBeGreaterThan(0);
    expect(result.shards[0]?.runs[0]?.fault).toEqual(expect.any(String));
  });

  it("is read from wherever the request says", async () => {
    const program = `import os, sys
os.makedirs("target/reports")
for i in sys.argv[1:]:
    open(f"target/reports/TEST-{i}.xml", "w").write(f'<testsuite><testcase classname="t" name="{i}"/></testsuite>')`;
    const result = await bench.result({
      items: ["a", "b"],
      shards: 1,
      reportFiles: ["target/reports/TEST-*.xml"],
      command: python(program).concat("{items}"),
    });
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 2 } });
  });

  it("is answered for with what a client can do about it", async () => {
    const { id } = await bench.api.accept({ image: "python", command: ["true"] });
    expect((await bench.api.fetch(`/v1/jobs/${id}/report.xml`)).status).toBe(404);
    expect((await bench.api.fetch("/v1/jobs/nobody/report.xml")).status).toBe(404);
    const job = await bench.api.accept({
      kind: "shard",
      image: "python",
      items: ["a"],
      command: python(`import time; time.sleep(2)`).concat("{items}"),
    });
    const early = await bench.api.fetch(`/v1/jobs/${job.id}/report.xml`);
    expect([early.status, ((await early.json()) as { error: object }).error]).toMatchObject([
      409,
      { code: "report_not_ready" },
    ]);
    await bench.finished(job.id);
    const response = await bench.api.fetch(`/v1/jobs/${job.id}/report.xml`);
    expect(response.headers.get("content-type")).toContain("application/xml");
    expect(response.headers.get("content-disposition")).toContain("attachment");
  });
});

describe("what failed", () => {
  /** A test that fails as often as its item says, by what earlier runs left in a file of the item. */
  const flaky = testFile({
    test_good: "pass",
    test_flaky: "self.assertGreater(time.time() % 1, 2) if not os.path.exists('/out/retry') else None",
    test_bad: "self.fail('always')",
  });
  // Containers are new each time: what tells a retry is the number of items.
  const command = [
    "sh",
    "-c",
    '[ $# -lt 3 ] && touch /out/retry; exec python3 run.py /out/junit.xml "$@"',
    "sh",
    "{items}",
  ];
  const body = {
    files: [files[0], { path: "tests/test_f.py", content: flaky }],
    discover: suite.discover,
    command,
    shards: 1,
  };

  it("is run again in its shard: what passes then is flaky, what does not has failed", async () => {
    const job = await bench.run({ ...body, retryFailed: 2 });
    const result = resultOf(job);
    expect(result).toMatchObject({
      outcome: "failed",
      counts: { tests: 3, passed: 2, failed: 1, flaky: 1, lost: 0 },
      flaky: [{ name: "test_flaky", runs: 2 }],
      failures: [{ name: "test_bad", runs: 3 }],
    });
    expect(result.flaky[0]?.message).toContain("not greater than 2");
    expect(result.shards[0]?.runs.map(({ purpose, items }) => [purpose, items])).toEqual([
      ["first", 3],
      ["retry", 2],
      ["retry", 1],
    ]);
    expect(await bench.report(job.id)).toContain("<flakyFailure ");
  });

  it("is run once unless more is asked for", async () => {
    expect(await bench.result(body)).toMatchObject({ counts: { passed: 1, failed: 2, flaky: 0 } });
  });

  it("may be an item that is missing in the report", async () => {
    const crash = `import os, sys\nif len(sys.argv) > 2: os.abort()\n${REPORT_ITEMS}`;
    const crashing = await bench.result({
      items: ["a", "b"],
      shards: 1,
      retryFailed: 1,
      command: python(crash).concat("{items}"),
    });
    expect(crashing.shards[0]?.runs.map(({ outcome, items }) => [outcome, items])).toEqual([
      ["signaled", 2],
      ["signaled", 2],
    ]);
    expect(crashing).toMatchObject({ outcome: "failed", counts: { lost: 2 } });
    const leaving = `import sys\nif len(sys.argv) > 2: sys.argv.pop()\n${REPORT_ITEMS}`;
    const found = await bench.result({
      items: ["a", "b"],
      shards: 1,
      retryFailed: 1,
      command: python(leaving).concat("{items}"),
    });
    expect(found).toMatchObject({ outcome: "passed", counts: { tests: 2, lost: 0, flaky: 0 } });
  });

  it("stops all shards where the request says so", async () => {
    const program = `${REPORT_ITEMS}
import time
if "bad" in sys.argv: sys.exit(1)
time.sleep(50)`;
    const result = await bench.result({
      items: ["bad", "b", "c"],
      shards: 3,
      strategy: "round-robin",
      failFast: true,
      command: python(program).concat("{items}"),
    });
    expect(result.shards.map(({ state }) => state)).toEqual(["done", "canceled", "canceled"]);
    expect(result).toMatchObject({
      outcome: "failed",
      lost: [
        { item: "b", shard: 2, reason: "not_run" },
        { item: "c", shard: 3, reason: "not_run" },
      ],
    });
  });
});

describe("shards that take what is left", () => {
  it("run every item once, whoever is faster", async () => {
    const items = Array.from({ length: 40 }, (_, index) => `item-${index}`);
    const program = `${REPORT_ITEMS}; print(*sys.argv[1:])`;
    const job = await bench.run({ items, shards: 2, strategy: "dynamic", command: python(program).concat("{items}") });
    const result = resultOf(job);
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 40, lost: 0 } });
    const logs = result.shards
      .flatMap(({ outputs }) => outputs.map(({ path }) => path))
      .filter((path) => path.startsWith("logs/"));
    const run = await Promise.all(logs.map(async (path) => (await bench.output(job.id, path)).trim().split(" ")));
    expect(run.flat().toSorted()).toEqual(items.toSorted());
    expect(run.length).toBeGreaterThan(4);
  });

  it("leave a slow item to one of them, while the others do the rest", async () => {
    const items = Array.from({ length: 20 }, (_, index) => `item-${index}`);
    const program = `import time\n${REPORT_ITEMS}; time.sleep(4 if "item-0" in sys.argv else 0)`;
    const result = await bench.result({
      items,
      shards: 2,
      strategy: "dynamic",
      command: python(program).concat("{items}"),
    });
    const slow = result.shards.toSorted((a, b) => b.wallTimeMs - a.wallTimeMs);
    expect(result.counts.tests).toBe(20);
    expect(slow[0]?.items).toBeLessThan(slow[1]?.items ?? 0);
  });
});

describe("who watches a sharded suite", () => {
  it("is told of each shard when it is queued, begins, goes on and ends", async () => {
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...suite });
    const told = new Map<number, string[]>();
    for await (const { shard, state, counts } of bench.shardEvents(id)) {
      told.set(shard, [...(told.get(shard) ?? []), `${state} ${counts.tests}`]);
    }
    const story = ["queued 0", "running 0", "running 2", "done 2"];
    expect(Object.fromEntries(told)).toEqual({ 1: story, 2: story, 3: story });
  });

  it("is told the same when the job has ended", async () => {
    const { id } = await bench.run(suite);
    const names: string[] = [];
    for await (const { name } of bench.events(id)) names.push(name);
    expect(names).toEqual(["state", ...Array.from({ length: 12 }, () => "shard"), "result"]);
  });
});
