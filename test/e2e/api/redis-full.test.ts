import { expect, test } from "vitest";
import { connected, done, runByHand } from "../../support/jobs.ts";
import { program, startApi } from "../../support/api.ts";
import { startRedis } from "../../support/redis.ts";

test("before Redis is full of results jobs are refused, and those that are there can be finished", async () => {
  const server = await startRedis();
  await using _server = { [Symbol.asyncDispose]: () => server.stop() };
  await using api = await startApi(server.url);
  const redis = await connected(server.url, "producer");
  using _connection = { [Symbol.dispose]: () => redis.disconnect() };
  const headers = { "idempotency-key": "the-same" };
  const post = async (): Promise<number> => (await api.post(program)).status;
  const first = (await (await api.post(program, { headers })).json()) as { id: string };

  const mebibyte = 1024 * 1024;
  for (let count = 0; count < 20; count++) await redis.rpush("others", "a".repeat(mebibyte - 1024));
  await redis.config("SET", "maxmemory", 26 * mebibyte);
  await expect.poll(post, { timeout: 10_000 }).toBe(429);
  const refused = await api.post(program);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ error: { code: "queue_full" } });

  // Whoever asks again for what was accepted is told of it.
  expect(await (await api.post(program, { headers })).json()).toMatchObject({ id: first.id });
  await runByHand(api.store, first.id, done("a".repeat(100_000)));
  expect(await (await api.fetch(`/v1/jobs/${first.id}`)).json()).toMatchObject({ state: "done" });

  await redis.del("others");
  await expect.poll(post, { timeout: 10_000 }).toBe(202);
});
