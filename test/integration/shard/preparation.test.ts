/** What comes before the shards of a suite, once: its set-up, and the discovery of its items. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { python, resultOf, ShardBench } from "./client.ts";
import { REPORT_ITEMS, RUNNER_FILE, suite, testFile } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

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
    const passing = [RUNNER_FILE, { path: "tests/test_a.py", content: testFile({ test_1: "pass", test_2: "pass" }) }];
    expect(await bench.result({ ...suite, files: passing })).toMatchObject({ outcome: "passed", message: "" });
  });

  it("has a clear outcome when there is nothing in it", async () => {
    const job = await bench.run({ ...suite, files: [RUNNER_FILE] });
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
    const latin = python("import sys; sys.stdout.buffer.write(b'tests/\\xe9.py\\n')");
    expect(await bench.result({ ...suite, discover: latin })).toMatchObject({
      outcome: "discovery_failed",
      message: "the items cannot be discovered: the list is no UTF-8",
    });
  });

  it("says why a list that begins with an empty line has nothing in it", async () => {
    const result = await bench.result({ ...suite, discover: ["printf", "\\n> tests\\n\\na.py\\n"] });
    expect(result).toMatchObject({ outcome: "no_items", message: expect.stringMatching(/begins with an empty line/) });
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

  it("leaves nothing in Redis of what may be secret, but a digest", async () => {
    const environment = { TOKEN: "a-secret-value" };
    expect(await bench.result({ ...body, environment })).toMatchObject({ outcome: "passed", setup: { cached: false } });
    expect(await bench.result({ ...body, environment })).toMatchObject({ outcome: "passed", setup: { cached: true } });
    const kept = await bench.everythingInRedis();
    expect(kept.filter((text) => text.includes("sha256:")).length).toBeGreaterThan(0);
    expect(kept.filter((text) => text.includes("a-secret-value"))).toEqual([]);
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
