/** What holds for every job holds for shards: workers that die, cancellation, other machines, nothing left behind. */
import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ShardResult } from "../../../shared/shard-result.ts";
import { connectRedis } from "../../../shared/redis.ts";
import { makeDataDirectory } from "../../support/images.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startWorkerProcess } from "../../support/worker.ts";
import { python, resultOf, ShardBench } from "./client.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.open()));
afterAll(async () => await bench[Symbol.asyncDispose]());

/** How long it may take until a dead worker is noticed, and its job done anew: the test's patience. */
const PATIENCE_MS = 120_000;

/** One test for each item, one of which fails, one is flaky; each takes a while. */
const PROGRAM = `import sys, time
cases = ""
for item in sys.argv[1:]:
    time.sleep(0.25)
    bad = item == "item-7" or item == "item-8" and len(sys.argv) > 3
    failure = '<failure message="no"/>' if bad else ""
    cases += f'<testcase classname="t" name="{item}" time="0.25">{failure}</testcase>'
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")
sys.exit(int("failure" in cases))`;

const items = Array.from({ length: 32 }, (_, index) => `item-${index}`);
const suite = { items, shards: 4, retryFailed: 1, command: python(PROGRAM).concat("{items}") };

/** What a result says of the tests, without what differs from one time to the next. */
function answerOf({ outcome, message, counts, failures, flaky, lost }: ShardResult): object {
  const names = (tests: readonly { readonly name: string }[]) => tests.map(({ name }) => name).toSorted();
  return { outcome, message, counts, failures: names(failures), flaky: names(flaky), lost };
}

describe.each(["round-robin", "dynamic"] as const)("shards by %s", (strategy) => {
  it("come to the same answer when one of two workers is killed in the middle", { timeout: PATIENCE_MS }, async () => {
    await using _survivor = await bench.startWorker({ LONGSHORE_SLOTS: "1" });
    const undisturbed = await bench.result({ ...suite, strategy });
    expect(undisturbed.counts).toMatchObject({ tests: 32, failed: 1, flaky: 1, lost: 0 });

    await using victim = await bench.startWorker();
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...suite, strategy });
    const name = await victim.id;
    // In the middle: the other one has finished something, or takes it, and this one has begun.
    await bench.shardEvent(id, ({ worker, state }) => worker === name && state === "running");
    victim.signal("SIGKILL");
    await victim.exit;
    const result = resultOf(await bench.finished(id));
    expect(answerOf(result)).toEqual(answerOf(undisturbed));
    expect(result.shards.some(({ attempt }) => attempt === 2)).toBe(true);
    const report = await bench.report(id);
    expect(report.match(/<testcase /g)).toHaveLength(32);
  });
});

describe("a sharded suite", () => {
  it("says what is lost when a shard's workers died too often", { timeout: PATIENCE_MS }, async () => {
    await using own = await ShardBench.open({ LONGSHORE_ATTEMPTS: "1" });
    const environment = { LONGSHORE_ATTEMPTS: "1", LONGSHORE_SLOTS: "1" };
    await using _survivor = await own.startWorker(environment);
    await using victim = await own.startWorker(environment);
    const { id } = await own.api.accept({ kind: "shard", image: "python", ...suite, shards: 2, retryFailed: 0 });
    const name = await victim.id;
    const { shard } = await own.shardEvent(id, ({ worker, state }) => worker === name && state === "running");
    victim.signal("SIGKILL");
    await victim.exit;
    const result = resultOf(await own.finished(id));
    expect(result).toMatchObject({ outcome: "failed", counts: { lost: 16 } });
    expect(new Set(result.lost.map((item) => `${item.shard} ${item.reason}`))).toEqual(
      new Set([`${shard} shard_failed`]),
    );
    expect(result.shards[shard - 1]).toMatchObject({ state: "failed", error: { code: "worker_lost" } });
  });

  it("keeps no more of what shards print than the worker has room for", async () => {
    await using _worker = await bench.startWorker({ LONGSHORE_OUTPUT_FILES_BYTES: "1000000" });
    const program = `import sys
print("x" * (2_000_000 if sys.argv[1] == "loud" else 10))
open("/out/junit.xml", "w").write(f'<testsuite><testcase classname="t" name="{sys.argv[1]}"/></testsuite>')`;
    const items = ["loud", "quiet"];
    const result = await bench.result({ items, strategy: "round-robin", command: python(program).concat("{items}") });
    expect(result).toMatchObject({ outcome: "passed", counts: { tests: 2 } });
    expect(result.shards.map(({ outputs }) => outputs)).toMatchObject([
      [{ path: "logs/shard-1.log", error: "2000001 bytes are more than are left for files of this shard" }],
      [{ path: "logs/shard-2.log", bytes: 11 }],
    ]);
    expect(result.shards[0]?.stdout).toMatchObject({ truncated: true, bytes: 16 * 1024 });
  });

  it("says why its report is missing, when it cannot be stored", async () => {
    // What a shard reports has room, and that of all of them has not.
    await using _worker = await bench.startWorker({ LONGSHORE_BLOB_BYTES: "1400000" });
    const program = `import sys
cases = "".join(f'<testcase classname="t" name="{sys.argv[1]}-{n}-{"x" * 80}"/>' for n in range(3000))
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")`;
    const items = ["a", "b", "c", "d"];
    const { id, result } = await bench.run({ items, command: python(program).concat("{items}") });
    const error = expect.stringContaining("cannot be stored: ") as unknown;
    expect(result).toMatchObject({ counts: { tests: 12_000 }, report: { error } });
    const response = await bench.api.fetch(`/v1/jobs/${id}/report.xml`);
    expect([response.status, await response.json()]).toMatchObject([404, { error: { message: error } }]);
  });

  it("is put together before jobs that have not begun", async () => {
    await using _worker = await bench.startWorker({ LONGSHORE_SLOTS: "1" });
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...quick });
    await bench.shardEvent(id, ({ state }) => state === "running");
    const others = await Promise.all(
      Array.from({ length: 20 }, () => bench.api.accept({ image: "python", command: ["sleep", "0.3"] })),
    );
    expect(resultOf(await bench.finished(id)).outcome).toBe("passed");
    const states = await Promise.all(others.map((job) => stateOf(job.id)));
    expect(states).toContain("queued");
    await Promise.all(others.map((job) => bench.api.fetch(`/v1/jobs/${job.id}`, { method: "DELETE" })));
  });

  it("goes on when the worker dies that sets it up", { timeout: PATIENCE_MS }, async () => {
    const setup = python("import time; time.sleep(2); open('/work/made', 'w').write('x')");
    await using victim = await bench.startWorker();
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...suite, setup });
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe("running");
    victim.signal("SIGKILL");
    await victim.exit;
    await using _successor = await bench.startWorker();
    const job = await bench.finished(id);
    expect(job.attempt).toBe(2);
    expect(resultOf(job)).toMatchObject({ counts: { tests: 32, lost: 0 }, setup: { exitCode: 0 } });
  });

  it("goes on elsewhere when a worker is told to stop, and loses nothing", { timeout: PATIENCE_MS }, async () => {
    await using stopping = await bench.startWorker({ LONGSHORE_DRAIN_MS: "100" });
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...suite, strategy: "dynamic" });
    await bench.shardEvent(id, ({ items }) => items > 0);
    await using _successor = await bench.startWorker();
    stopping.signal("SIGTERM");
    expect((await stopping.exit).code).toBe(0);
    expect(resultOf(await bench.finished(id))).toMatchObject({
      outcome: "failed",
      counts: { tests: 32, passed: 31, failed: 1, lost: 0 },
    });
  });

  it("comes to the same answer when connections to redis break all the time", { timeout: PATIENCE_MS }, async () => {
    await using proxy = await TcpProxy.open(Number(new URL(bench.redis.url).port));
    await using _worker = await bench.startWorker({ REDIS_URL: bench.redis.url.replace(/:\d+/, `:${proxy.port}`) });
    const { id } = await bench.api.accept({ kind: "shard", image: "python", ...suite, strategy: "dynamic" });
    let breaks = 0;
    for await (const _event of bench.shardEvents(id)) {
      proxy.cut();
      breaks++;
    }
    expect(breaks).toBeGreaterThan(8);
    expect(resultOf(await bench.finished(id))).toMatchObject({ counts: { tests: 32, passed: 31, failed: 1, lost: 0 } });
  });

  it("runs on one slot: it holds none while it waits for its shards", async () => {
    await using _worker = await bench.startWorker({ LONGSHORE_SLOTS: "1" });
    const jobs = await Promise.all([1, 2].map(() => bench.api.accept({ kind: "shard", image: "python", ...quick })));
    for (const { id } of jobs) expect(resultOf(await bench.finished(id))).toMatchObject({ outcome: "passed" });
  });

  it("is canceled with all of its shards, and their slots are free again", async () => {
    await using _worker = await bench.startWorker();
    const marker = `9${process.pid}`;
    const { id } = await bench.api.accept({
      kind: "shard",
      image: "python",
      items: ["a", "b", "c", "d"],
      command: ["sleep", marker, "{items}"],
    });
    const waiting = { ...quick, items: ["a"], command: ["sh", "-c", `sleep ${marker}`, "{items}"] };
    const second = await bench.api.accept({ kind: "shard", image: "python", ...waiting });
    await bench.shardEvent(second.id, ({ state }) => state === "running");
    const answer = await bench.api.fetch(`/v1/jobs/${second.id}`, { method: "DELETE" });
    expect(await answer.json()).toMatchObject({ state: "canceled", result: null });
    await bench.api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    await expect.poll(() => processesOf(marker), { timeout: 10_000 }).toEqual([]);
    expect(await bench.result(quick)).toMatchObject({ outcome: "passed" });
    expect((await bench.finished(second.id)).state).toBe("canceled");
  });

  it("leaves nothing in redis but what expires", async () => {
    // One of its own: what workers had in their hands that ended in other tests, is still there.
    await using own = await ShardBench.open();
    await using worker = await own.startWorker();
    await own.run({ ...quick, suite: "left", strategy: "dynamic" });
    worker.signal("SIGTERM");
    await worker.exit;
    const redis = connectRedis(own.redis.url, "consumer", () => undefined);
    try {
      const lasting: string[] = [];
      for (const key of await redis.keys("{longshore}:job*")) if ((await redis.ttl(key)) === -1) lasting.push(key);
      // BullMQ's own, whatever jobs there are.
      expect(lasting.filter((key) => !/:jobs:(meta|events|id|marker|pc|stalled-check)$/.test(key))).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });

  it("has its set-up on machines that share nothing but the API", { timeout: PATIENCE_MS }, async () => {
    await using elsewhere = await makeDataDirectory("python");
    await using first = await bench.startWorker({ LONGSHORE_SLOTS: "1" });
    await using second = startWorkerProcess({
      REDIS_URL: bench.redis.url,
      LONGSHORE_DATA: elsewhere.path,
      LONGSHORE_BLOBS: bench.api.url,
      LONGSHORE_SLOTS: "1",
    });
    await second.ready;
    const setup = python(
      "import os; os.mkdir('/work/made'); open('/work/made/x', 'w').write('data' * 1000); os.symlink('made/x', 'link'); os.chmod('/work/made/x', 0o751)",
    );
    const program = `import os, time, sys
status = os.stat("/work/made/x")
print(oct(status.st_mode), status.st_uid, open("/work/link").read() == "data" * 1000)
time.sleep(1)
open("/out/junit.xml", "w").write(f'<testsuite><testcase classname="t" name="{sys.argv[1]}"/></testsuite>')`;
    const job = await bench.run({ items: ["a", "b", "c", "d"], setup, command: python(program).concat("{items}") });
    const result = resultOf(job);
    expect(result).toMatchObject({ outcome: "passed", setup: { cached: false } });
    expect(new Set(result.shards.map(({ worker }) => worker))).toEqual(new Set([await first.id, await second.id]));
    for (const { stdout } of result.shards) expect(stdout.content).toBe("0o100751 1000 True\n");
  });
});

const quick = {
  items: ["a", "b", "c"],
  shards: 3,
  command: python(`import sys
cases = "".join(f'<testcase classname="t" name="{item}"/>' for item in sys.argv[1:])
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")`).concat("{items}"),
};

async function stateOf(id: string): Promise<unknown> {
  return ((await (await bench.api.fetch(`/v1/jobs/${id}`)).json()) as { state: unknown }).state;
}

/** Ids of processes that have `marker` in their command line. */
async function processesOf(marker: string): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commandLines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")));
  return ids.filter((_, index) => commandLines[index]?.includes(marker));
}
