/** What is left of shards that are stopped as soon as another one has a failure. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { python, resultOf, ShardBench } from "./client.ts";
import { REPORT_ITEMS } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

/** Fails when it has `bad`, a while after another shard has done something and come to `endless`. */
const PROGRAM = `import os, sys, time
failure = '<failure message="no"/>' if "bad" in sys.argv else ""
cases = "".join(f'<testcase classname="t" name="{i}">{failure if i == "bad" else ""}</testcase>' for i in sys.argv[1:])
if "endless" in sys.argv:
    print("endless begins", flush=True)
    time.sleep(500)
if "bad" in sys.argv: time.sleep(4)
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")
sys.exit(int(failure != ""))`;

describe("a shard that is stopped", () => {
  it("has what it had done in the result and the report; the rest was not run, and is said to be that", async () => {
    const items = ["bad", "a", "b", "c", "endless", "d", "e", "f"];
    const job = await bench.run({
      items,
      shards: 2,
      strategy: "dynamic",
      failFast: true,
      command: python(PROGRAM).concat("{items}"),
    });
    const { outcome, shards, counts, lost, failures, message } = resultOf(job);
    const stopped = shards.find(({ state }) => state === "canceled");
    const failing = shards.find(({ state }) => state === "done");
    expect([outcome, failures.map(({ name }) => name)]).toEqual(["failed", ["bad"]]);
    // It has done what it took first, and was stopped in what it took then.
    expect(stopped?.runs.length).toBeGreaterThan(0);
    expect(stopped?.counts.passed).toBe(stopped?.items);
    expect(stopped?.items).toBeGreaterThan(0);
    expect(failing?.counts.failed).toBe(1);
    expect(counts.tests).toBe((stopped?.items ?? 0) + (failing?.items ?? 0));
    expect(lost.map(({ item }) => item)).toContain("endless");
    expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(["not_run"]));
    expect(counts.tests + counts.lost).toBe(items.length);
    expect(message).toContain(`shard ${stopped?.shard} was stopped`);
    const report = await bench.report(job.id);
    expect(report.match(/<testcase /g)).toHaveLength(counts.tests);
    expect(report).not.toContain('name="endless"');
  });

  it("is told to be canceled to those who watch, with what it had done", async () => {
    const { id } = await bench.api.accept({
      kind: "shard",
      image: "python",
      items: ["bad", "a", "b", "c", "endless", "d", "e", "f"],
      shards: 2,
      strategy: "dynamic",
      failFast: true,
      command: python(PROGRAM).concat("{items}"),
    });
    const ends: string[] = [];
    for await (const { state, items } of bench.shardEvents(id)) {
      if (state === "canceled" || state === "done") ends.push(items > 0 ? `${state}, some done` : state);
    }
    expect(ends.toSorted()).toEqual(["canceled, some done", "done, some done"]);
  });

  it("has done nothing when it was stopped before it had begun, and its items were not run", async () => {
    const program = `${REPORT_ITEMS}; sys.exit(1)`;
    const result = await bench.result({
      items: ["bad", "b", "c", "d", "e", "f"],
      // More than there are places for: some have not begun.
      shards: 6,
      strategy: "round-robin",
      failFast: true,
      command: python(program).concat("{items}"),
    });
    const untouched = result.shards.filter(({ state, runs }) => state === "canceled" && runs.length === 0);
    expect(untouched.length).toBeGreaterThan(0);
    const names = result.lost.map(({ shard, reason }) => `${shard} ${reason}`);
    for (const { shard } of untouched) expect(names).toContain(`${shard} not_run`);
    expect(result.counts.tests + result.counts.lost).toBe(6);
  });
});
