import { expect, test } from "vitest";
import type { Job } from "../../../shared/job.ts";
import { startApiProcess } from "../../support/api-process.ts";
import { makeDataDirectory } from "../../support/images.ts";
import { startRedis } from "../../support/redis.ts";
import { startWorkerProcess } from "../../support/worker.ts";

test("a job outlives the API that took it, and another one has its result", async () => {
  await using redis = await startRedis();
  await using data = await makeDataDirectory("bash");
  await using worker = startWorkerProcess({
    REDIS_URL: redis.url,
    LONGSHORE_DATA: data.path,
    LONGSHORE_SLOTS: "1",
  });
  await worker.ready;
  await using first = startApiProcess({ REDIS_URL: redis.url });
  await using second = startApiProcess({ REDIS_URL: redis.url });
  const [firstUrl, secondUrl] = [await first.listening(), await second.listening()];
  const post = async (url: string, wait: number): Promise<Response> =>
    await fetch(`${url}/v1/jobs?wait=${wait}`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "the-same" },
      body: JSON.stringify({ language: "bash", source: "sleep 2; echo over" }),
    });
  const get = async (id: string, wait = 0): Promise<Job> =>
    (await (await fetch(`${secondUrl}/v1/jobs/${id}?wait=${wait}`)).json()) as Job;

  const answer = post(firstUrl, 60).then(
    () => "an answer",
    () => "a broken connection",
  );
  await expect
    .poll(async () => (await fetch(`${firstUrl}/metrics`)).text())
    .toContain('longshore_waiting_jobs{service="api"} 1');
  // Who was cut off asks again elsewhere, and is told of the job that is running.
  const { id } = (await (await post(secondUrl, 0)).json()) as Job;
  await expect.poll(async () => (await get(id)).state, { timeout: 30_000 }).toBe("running");
  first.kill("SIGKILL");
  await first.exited;
  expect(await answer).toBe("a broken connection");
  expect(await get(id, 60)).toMatchObject({ state: "done", attempt: 1, result: { stdout: { content: "over\n" } } });
});
