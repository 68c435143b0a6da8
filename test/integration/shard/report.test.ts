/** What is made of the reports of shards, and of what is no report. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { python, ShardBench } from "./client.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

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
