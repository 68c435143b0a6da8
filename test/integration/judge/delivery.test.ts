/** What holds for every job holds for a judge: workers that die, cancellation, repeated requests, waiting jobs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JudgeJob } from "../../../shared/job.ts";
import { judgeJobSchema } from "../../../shared/job.ts";
import { startApi, type RunningApi } from "../../support/api.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

let redis: RedisServer;
let data: DataDirectory;
let api: RunningApi;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash", "c");
  api = await startApi(redis.url, { LONGSHORE_DATA: data.path });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
  await data[Symbol.asyncDispose]();
});

async function startWorker(slots: number): Promise<WorkerProcess> {
  const worker = startWorkerProcess({
    REDIS_URL: redis.url,
    LONGSHORE_DATA: data.path,
    LONGSHORE_SLOTS: String(slots),
  });
  await worker.ready;
  return worker;
}

async function finished(id: string): Promise<JudgeJob> {
  return judgeJobSchema.parse(await (await api.fetch(`/v1/jobs/${id}?wait=60`)).json());
}

async function state(id: string): Promise<string> {
  return ((await (await api.fetch(`/v1/jobs/${id}`)).json()) as JudgeJob).state;
}

/** Resolves when a case is settled. */
async function firstCase(id: string): Promise<void> {
  const { body } = await api.fetch(`/v1/jobs/${id}/events`);
  let text = "";
  for await (const piece of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes("event: case")) return;
  }
  throw new Error(`no case was settled: ${text}`);
}

/** What a result says of the submission, without what differs from one machine to the next. */
function answerOf({ state, result }: JudgeJob): object {
  const cases = result?.cases.map(({ name, verdict, points, message }) => ({ name, verdict, points, message }));
  return { state, verdict: result?.verdict, points: result?.points, groups: result?.groups, cases };
}

const PROGRAM = `#include <stdio.h>
#include <unistd.h>
int main(void) { int n; scanf("%d", &n); usleep(300000); printf("%d\\n", n == 7 ? 0 : n * n); }`;

const judged = {
  kind: "judge",
  language: "c",
  source: PROGRAM,
  cases: Array.from({ length: 10 }, (_, n) => ({
    name: String(n),
    stdin: String(n),
    expected: String(n * n),
    group: n < 5 ? "a" : "b",
  })),
  groups: [
    { name: "a", points: 40 },
    { name: "b", points: 60, dependsOn: ["a"] },
  ],
  stopOn: "group-failure",
};

describe("a judge", () => {
  it("comes to the same answer when its worker is killed in the middle", async () => {
    let undisturbed: JudgeJob;
    {
      await using _worker = await startWorker(2);
      undisturbed = await finished((await api.accept(judged)).id);
      expect(undisturbed.result?.cases.map(({ verdict }) => verdict).slice(6)).toEqual([
        "accepted",
        "wrong_answer",
        "skipped",
        "skipped",
      ]);
    }
    await using victim = await startWorker(2);
    const { id } = await api.accept(judged);
    await firstCase(id);
    victim.signal("SIGKILL");
    await victim.exit;
    await using _successor = await startWorker(1);
    const job = await finished(id);
    expect(job.attempt).toBe(2);
    expect(answerOf(job)).toEqual(answerOf(undisturbed));
  }, 120_000);

  it("is canceled with everything that it runs, and its slots are free again", async () => {
    await using _worker = await startWorker(2);
    const cases = ["1", "2", "3"].map((name) => ({ name }));
    const { id } = await api.accept({
      kind: "judge",
      language: "bash",
      source: "sleep 1000",
      cases,
      limits: { wallTimeMs: 60_000 },
    });
    await expect.poll(() => state(id), { timeout: 10_000 }).toBe("running");
    await api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    expect(await finished(id)).toMatchObject({ state: "canceled", result: null });
    const response = await api.post({ language: "bash", source: "echo next" }, { wait: 60 });
    expect(await response.json()).toMatchObject({ state: "done", result: { stdout: { content: "next\n" } } });
  });

  it("gives slots back that others wait for, between two cases", async () => {
    await using _worker = await startWorker(2);
    const cases = Array.from({ length: 20 }, (_, n) => ({ name: String(n), expected: "x" }));
    const source = "sleep 0.2; echo x";
    const { id } = await api.accept({ kind: "judge", language: "bash", source, cases });
    await expect.poll(() => state(id), { timeout: 10_000 }).toBe("running");
    const response = await api.post({ language: "bash", source: "echo between" }, { wait: 60 });
    expect(await response.json()).toMatchObject({ state: "done" });
    expect(await state(id)).toBe("running");
    expect(await finished(id)).toMatchObject({ result: { verdict: "accepted", points: 20 } });
  });

  it("goes on with two interactive jobs on two slots, none of which waits for the other", async () => {
    await using _worker = await startWorker(2);
    const body = {
      kind: "judge",
      language: "bash",
      source: "echo hello; read -r answer",
      cases: Array.from({ length: 6 }, (_, n) => ({ name: String(n) })),
      interactor: { language: "bash", source: "read -r line && echo bye" },
    };
    const jobs = await Promise.all([1, 2, 3].map(() => api.accept(body)));
    for (const { id } of jobs) expect(await finished(id)).toMatchObject({ result: { verdict: "accepted", points: 6 } });
  });

  it("posted twice under one key is one job, and fails at once without its blobs", async () => {
    const headers = { "idempotency-key": `judge-${process.pid}` };
    const body = { kind: "judge", language: "bash", source: "true", cases: [{ name: "1" }] };
    const [first, second] = [await api.post(body, { headers }), await api.post(body, { headers })];
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(((await second.json()) as JudgeJob).id).toBe(((await first.json()) as JudgeJob).id);
    const blob = `sha256:${"0".repeat(64)}`;
    const refused = await api.post({ ...body, cases: [{ name: "1", expected: { blob } }] });
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({
      error: { code: "blob_not_found", details: [{ path: "cases[0].expected.blob" }] },
    });
  });
});
