import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardJobSchema } from "../../../shared/job.ts";
import { parseReport } from "../../../worker/jobs/shard/report/parse-report.ts";
import { RUNNER, testFile } from "../../integration/shard/suite.ts";
import { type CommandLine, startCommandLine } from "../../support/command-line.ts";
import type { CommandOptions } from "../../support/longshore.ts";

let commandLine: CommandLine;

beforeAll(async () => {
  commandLine = await startCommandLine(["python"]);
  const good = testFile({ test_one: "pass", test_two: "self.assertEqual(2, 1 + 1)" });
  await commandLine.write({
    "good/run.py": RUNNER,
    "good/tests/test_a.py": good,
    "good/tests/test_b.py": good,
    "good/tests/test_c.py": good,
    "good/.gitignore": "*.tmp\n",
    "good/large.tmp": "ignored",
    "bad/run.py": RUNNER,
    "bad/tests/test_bad.py": testFile({ test_bad: 'print("::error::x"); self.assertEqual(1, 2)', test_good: "pass" }),
    "bad/tests/test_empty.py": "# nothing\n",
    "flaky/run.py": RUNNER,
    // The runner is given one item only when it is run again.
    "flaky/tests/test_flaky.py": testFile({ test_flaky: "self.assertEqual(3, len(sys.argv))" }),
    "flaky/tests/test_good.py": good,
    "slow/run.py": RUNNER,
    "slow/tests/test_slow.py": testFile({ test_slow: "time.sleep(300)" }),
  });
});
afterAll(() => commandLine[Symbol.asyncDispose]());

/** Runs the tests of a checkout from within. */
function shard(checkout: string, words: readonly string[], options: CommandOptions = {}) {
  return commandLine.longshore(
    ["shard", "--image", "python", ...words, "--", "python3", "run.py", "/out/junit.xml", "{items}"],
    { directory: join(commandLine.directory, checkout), ...options },
  );
}

async function savedReport(checkout: string) {
  return await parseReport([await readFile(join(commandLine.directory, checkout, "junit.xml"))]);
}

describe("longshore shard", () => {
  it("runs the tests of a checkout, and saves what they reported together", async () => {
    const { exitCode, stdout, stderr } = await shard("good", ["--shards", "2", "--items", "tests/test_*.py"]);
    expect(stdout.toString()).toMatch(
      /^shards\n( +[\d.]+ s {2}shard \d: \d items, \d tests on .*\n){2}passed {2}6 tests: 6 passed; 2 shards \(time\) in .*\n$/,
    );
    expect(stderr).toMatch(/^longshore: sent the checkout \([\d.]+ kB\)\nlongshore: job [0-9a-f-]{36}\n/);
    expect(stderr).toMatch(/^shard 1\/2 {2}running .*\n/m);
    expect(stderr).toMatch(/^shard 2\/2 {2}done {6}\d of \d items {2}\d passed .*\n/m);
    expect(exitCode).toBe(0);
    const { tests, fault } = await savedReport("good");
    expect([tests.length, fault]).toEqual([6, null]);
  });

  it("sends the same checkout once", async () => {
    const words = ["--shards", "1", "--discover", "python3 run.py --list"];
    expect((await shard("good", words)).exitCode).toBe(0);
    await commandLine.write({ "good/large.tmp": "ignored, and another" });
    const { exitCode, stdout, stderr } = await shard("good", [...words, "--strategy", "dynamic"]);
    expect(stderr).toContain("was there already");
    expect(stdout.toString()).toContain("6 tests: 6 passed; 1 shard (dynamic)");
    expect(exitCode).toBe(0);
  });

  it("says what failed, what was flaky and what is lost, and exits with 1", async () => {
    const { exitCode, stdout } = await shard("bad", ["--shards", "1", "--retry-failed", "1", "--items", "tests/*.py"]);
    const text = stdout.toString();
    expect(text).toMatch(/^failed {2}tests\.test_bad\.Tests::test_bad \(shard 1, 2 runs\)\n( {2}\| .*\n)+/m);
    expect(text).toContain("  | AssertionError: 1 != 2\n");
    expect(text).toMatch(/^lost {2}tests\/test_empty\.py \(shard 1\): the report does not have it$/m);
    expect(text).toMatch(/^failed {2}2 tests: 1 passed, 1 failed, 1 lost; 1 shard \(time\) in /m);
    expect(exitCode).toBe(1);
    expect((await savedReport("bad")).tests).toContainEqual(
      expect.objectContaining({ name: "test_bad", outcome: "failed", failure: expect.anything() }),
    );
  });

  it("has a test as flaky that passes when it is run again", async () => {
    const words = ["--shards", "1", "--retry-failed", "1", "--items", "tests/*.py"];
    const { exitCode, stdout } = await shard("flaky", words);
    expect(stdout.toString()).toMatch(/^flaky {2}tests\.test_flaky\.Tests::test_flaky: AssertionError: 3 != 4$/m);
    expect(stdout.toString()).toMatch(/^passed {2}3 tests: 3 passed, 1 flaky; /m);
    expect(exitCode).toBe(0);
  });

  it("saves files of shards, and what they printed, where it is told", async () => {
    const words = ["--shards", "1", "--items", "tests/test_a.py", "--output", "run.py", "--save-to", "saved"];
    const { stderr } = await shard("good", words);
    expect(stderr).toMatch(/^longshore: saved saved\/shard-1\/run\.py \(\d+ bytes\)$/m);
    const log = await readFile(join(commandLine.directory, "good/saved/logs/shard-1.log"), "utf8");
    expect(log).toBe("ran 2 tests\n");
  });

  it("prints the job as JSON where that is asked for", async () => {
    const { stdout } = await shard("good", ["--json", "--shards", "3", "--items", "tests/test_a.py"]);
    const { result } = shardJobSchema.parse(JSON.parse(stdout.toString()));
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 2 }, shards: [{ shard: 1 }] });
  });

  it("cancels the job when it is interrupted, and leaves no report of another time", async () => {
    await commandLine.write({ "slow/junit.xml": "of another time" });
    const onStart: CommandOptions["onStart"] = (child) =>
      void child.stderr?.on("data", (text: Buffer) => {
        if (/ running /.test(text.toString())) child.kill("SIGINT");
      });
    const { exitCode, stderr } = await shard("slow", ["--items", "tests/*.py", "--wall-time-ms", "300000"], {
      onStart,
    });
    expect(stderr).toMatch(/canceling job [0-9a-f-]{36}\n.*job [0-9a-f-]{36} was canceled\n$/);
    expect(exitCode).toBe(130);
    await expect(savedReport("slow")).rejects.toThrow("ENOENT");
  });

  it.each([
    ["a pattern that matches nothing", ["--items", "spec/*.rb"], /--items spec\/\*\.rb matches no file/],
    ["what the server refuses", ["--shards", "0", "--items", "x"], /shards too small/i],
    ["an unknown strategy", ["--strategy", "luck", "--items", "x"], /Allowed choices are time, round-robin, dynamic/],
    ["no items", [], /items is missing/],
  ])("exits with 125 for %s, and says why", async (_, words, message) => {
    const { exitCode, stdout, stderr } = await shard("good", words);
    expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 125, stdout: "" });
    expect(stderr).toMatch(message);
  });
});
