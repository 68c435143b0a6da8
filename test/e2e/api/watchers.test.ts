/** Those who watch a job: many, slow ones, and what becomes of them when something goes away. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { JobEvents } from "../../../shared/job-events.ts";
import { startApi, type RunningApi } from "../../support/api.ts";
import { done } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { watchJob } from "../../support/watch.ts";
import { doneWith, type HandAttempt, takeByHand, watchQueued } from "./hand-attempt.ts";

let redis: RedisServer;
let one: RunningApi;
let other: RunningApi;
let events: JobEvents;
beforeAll(async () => {
  redis = await startRedis();
  [one, other] = await Promise.all([startApi(redis.url), startApi(redis.url)]);
  events = new JobEvents({ redis: one.api.redis, queue: "longshore" });
});
afterAll(async () => {
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
  await redis.stop();
});
beforeEach(async () => void (await one.api.redis.flushall()));

const take = (id: string): Promise<HandAttempt> => takeByHand(one, id);

describe("GET /v1/jobs/{id}/events", () => {
  test("reaches a hundred watchers at two APIs alike", async () => {
    const content = Buffer.from("0123456789abcdef".repeat(16_384));
    const { id } = await one.accept();
    const watches = await Promise.all(
      Array.from({ length: 100 }, (_, index) => watchJob((index % 2 === 0 ? one : other).url, id)),
    );
    expect(await (await one.fetch("/metrics")).text()).toContain('longshore_watchers{service="api"} 50');
    const attempt = await take(id);
    for (let offset = 0; offset < content.length; offset += 65_536) {
      await attempt.write("stdout", content.subarray(offset, offset + 65_536));
    }
    await attempt.finish(doneWith(content));
    await Promise.all(watches.map(({ ended }) => ended));
    for (const watch of watches) {
      expect(watch.bytes("stdout").equals(content)).toBe(true);
      expect(watch.dataOf("result")).toHaveLength(1);
    }
    await vi.waitFor(async () =>
      expect(await (await one.fetch("/metrics")).text()).toContain('longshore_watchers{service="api"} 0'),
    );
  });

  test("waits for a slow reader without reading on", async () => {
    const { id } = await one.accept();
    const attempt = await take(id);
    await events.watch(id);
    const piece = Buffer.alloc(65_536, "x");
    for (let count = 0; count < 320; count++) await attempt.write("stdout", piece);
    const { port } = new URL(one.url);
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    socket.pause();
    const before = await bytesReadFromRedis();
    socket.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    // It has been sent what the kernel's buffers take, and no more: other readers are served meanwhile.
    await using watch = await watchJob(one.url, id);
    await vi.waitFor(() => expect(watch.bytes("stdout").length).toBe(320 * 65_536), 30_000);
    const readBySlow = (await bytesReadFromRedis()) - before - 320 * 65_536;
    expect(readBySlow).toBeLessThan(12 * 1024 * 1024);
    let received = 0;
    socket.on("data", (bytes: Buffer) => (received += bytes.length)).resume();
    await vi.waitFor(() => expect(received).toBeGreaterThan(320 * 65_536), 30_000);
    socket.destroy();
  });

  test("cuts off a reader that takes nothing for long, which may come back and go on", async () => {
    await using impatient = await startApi(redis.url, {}, { readerPatienceMs: 100 });
    const { id } = await one.accept();
    const attempt = await take(id);
    await events.watch(id);
    const whole = Buffer.alloc(320 * 65_536, "0123456789abcdef\n");
    for (let at = 0; at < whole.length; at += 65_536) await attempt.write("stdout", whole.subarray(at, at + 65_536));
    await attempt.finish(doneWith(whole));

    const { port } = new URL(impatient.url);
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    socket.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    const [beginning] = (await once(socket, "data")) as [Buffer];
    socket.pause();
    await vi.waitFor(
      async () =>
        expect(await (await impatient.fetch("/metrics")).text()).toContain('longshore_watchers{service="api"} 0'),
      30_000,
    );

    let received = beginning.toString("latin1");
    const closed = once(socket, "close");
    socket.on("error", () => undefined).on("data", (bytes: Buffer) => (received += bytes.toString("latin1")));
    socket.resume();
    await closed;
    expect(received).not.toContain("event: result");
    // The chunks' own lines stand between the events'.
    const lastEventId = [...received.matchAll(/^id: (\S+)$/gm)].at(-2)?.[1];
    await using watch = await watchJob(impatient.url, id, lastEventId);
    await watch.ended;
    const had = Number(lastEventId?.split("-")[2]);
    expect(had).toBeGreaterThan(0);
    expect(watch.bytes("stdout").equals(whole.subarray(had))).toBe(true);
    expect(watch.events.at(-1)?.name).toBe("result");
  });

  test("waits while Redis is away, and goes on", async () => {
    const { id } = await one.accept();
    await using watch = await watchJob(other.url, id);
    const attempt = await take(id);
    await attempt.write("stdout", "before ");
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toBe("before "));
    await redis.kill();
    await redis.restart();
    await vi.waitFor(async () => expect((await one.fetch("/v1/workers")).status).toBe(200), 10_000);
    await attempt.write("stdout", "after");
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toBe("before after"), 10_000);
    await attempt.finish(done("before after"));
    await watch.ended;
    expect(watch.dataOf("result")).toMatchObject([{ state: "done" }]);
  });

  test("ends without a result when the job expires, and is not found from then on", async () => {
    const { id } = await one.accept();
    await using watch = await watchQueued(one, id);
    await take(id);
    await vi.waitFor(() => expect(watch.dataOf("state")).toHaveLength(2));
    await one.api.redis.del(one.store.keys.job(id));
    await one.api.redis.publish(one.store.keys.newsChannel, id);
    await watch.ended;
    expect(watch.dataOf("result")).toEqual([]);
    const headers = { "last-event-id": watch.events.at(-1)?.id ?? "" };
    expect((await one.fetch(`/v1/jobs/${id}/events`, { headers })).status).toBe(404);
  });

  test("ends at once when the API stops, and goes on at another one", async () => {
    await using third = await startApi(redis.url);
    const { id } = await third.accept();
    await using watch = await watchJob(third.url, id);
    const attempt = await take(id);
    await attempt.write("stdout", "a");
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toBe("a"));
    third.api.stopWaiting();
    await watch.ended;
    await attempt.write("stdout", "b");
    await using rest = await watchJob(one.url, id, watch.events.at(-1)?.id);
    await vi.waitFor(() => expect(rest.dataOf("stdout")).toEqual([{ offset: 1, content: "b", encoding: "utf8" }]));
  });
});

/** Bytes that Redis has sent so far. */
async function bytesReadFromRedis(): Promise<number> {
  const [, bytes] = /total_net_output_bytes:(\d+)/.exec(await one.api.redis.info("stats")) ?? [];
  return Number(bytes);
}
