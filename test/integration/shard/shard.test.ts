/** Shards as containers: what they know, what they return, and how they end. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { python, resultOf, ShardBench } from "./client.ts";
import { REPORT_ITEMS } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

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
      message: "2 items are lost; shard 1: exit code 1; 1 more fault",
      counts: { tests: 0, lost: 2 },
      lost: [
        { item: "a", shard: 1, reason: "no_report" },
        { item: "b", shard: 1, reason: "no_report" },
      ],
      shards: [{ stderr: { content: "cannot import the tests\n" }, runs: [{ exitCode: 1 }] }],
    });
    expect(result.shards[0]?.runs[0]?.fault).toBe("there is no report at /out/*.xml");
  });

  it("has reported nothing of its items when there are no tests in its report", async () => {
    const command = ["sh", "-c", "echo '<testsuites><testsuite/></testsuites>' > /out/a.xml", "sh", "{items}"];
    expect(await bench.result({ items: ["a"], command })).toMatchObject({
      outcome: "failed",
      lost: [{ item: "a", shard: 1, reason: "not_reported" }],
    });
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
