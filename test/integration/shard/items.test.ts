/** Who runs which items: those that are given, by what they took before, or by whoever is free. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ShardResult } from "../../../shared/shard-result.ts";
import { python, resultOf, ShardBench } from "./client.ts";
import { REPORT_ITEMS } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

/** Which items each shard has run, by what its tests are called. */
function namesOf({ slowest }: ShardResult): string[] {
  return slowest.map(({ name }) => name).toSorted();
}

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
