/** What failed in a shard is run again, or ends the others. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { python, resultOf, ShardBench } from "./client.ts";
import { REPORT_ITEMS, RUNNER_FILE, suite, testFile } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

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
    files: [RUNNER_FILE, { path: "tests/test_f.py", content: flaky }],
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

  it("may be an item that is missing in the report, which is flaky if it passes then", async () => {
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
    expect(found).toMatchObject({ outcome: "passed", counts: { tests: 2, lost: 0, flaky: 1 } });
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
