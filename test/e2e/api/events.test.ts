import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { encodeOutput } from "../../../shared/content.ts";
import { JobEvents, type JobEvent } from "../../../shared/job-events.ts";
import type { Ending } from "../../../shared/job-store.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { done, resultOf } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { type Watch, watchJob, watchResponse } from "../../support/watch.ts";

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

const UNKNOWN = "/v1/jobs/00000000-0000-4000-8000-000000000000/events";

/** A worker's part, played by hand: an attempt at a job that can write. */
interface HandAttempt {
  readonly number: number;
  write(stream: "stdout" | "stderr", content: string | Buffer): Promise<void>;
  append(event: JobEvent): Promise<void>;
  finish(ending: Ending): Promise<void>;
  release(): Promise<void>;
}

/** Watches a job that waits, and has been told so. */
async function watchQueued(api: RunningApi, id: string): Promise<Watch> {
  const watch = await watchJob(api.url, id);
  await vi.waitFor(() => expect(watch.dataOf("state")).toEqual([{ id, state: "queued", attempt: 0 }]));
  return watch;
}

let tokens = 0;

async function take(id: string): Promise<HandAttempt> {
  const token = `by-hand-${++tokens}`;
  const claim = await one.store.claim(id, { worker: "by-hand", token });
  if (claim.status !== "claimed") throw new Error(claim.status);
  const { attempt } = claim;
  const offsets = { stdout: 0, stderr: 0 };
  let sequence = 0;
  const append: HandAttempt["append"] = async (event) => {
    expect(await events.append(id, { token }, [{ ...event, attempt, sequence: ++sequence }])).toBe("appended");
  };
  return {
    number: attempt,
    append,
    async write(name, content) {
      const bytes = Buffer.from(content);
      await append({ name, offset: offsets[name], bytes });
      offsets[name] += bytes.length;
    },
    finish: async (ending) => expect(await one.store.finish(id, token, ending)).toBe("stored"),
    release: async () => expect(await one.store.release(id, token)).toBe("released"),
  };
}

/** The ending of a program that wrote these bytes. */
function doneWith(content: Buffer): Ending {
  return {
    state: "done",
    result: { ...resultOf(""), stdout: encodeOutput({ content, truncated: false }) },
    outputs: [],
  };
}

describe("GET /v1/jobs/{id}/events", () => {
  test("sends what happens, as it happens, in the form of server-sent events", async () => {
    const { id } = await one.accept();
    const response = await one.fetch(`/v1/jobs/${id}/events`);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const pieces: string[] = [];
    const read = async (): Promise<void> => {
      for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) pieces.push(piece);
    };
    const ended = read();
    await vi.waitFor(() => expect(pieces.join("")).toContain("queued"));
    const attempt = await take(id);
    await attempt.write("stdout", "a\n");
    await attempt.write("stderr", "ü");
    await attempt.append({ name: "case", data: { name: "1", verdict: "accepted" } });
    await attempt.finish(done("a\nb"));
    await ended;
    const lines = pieces.join("").split("\n\n");
    expect(lines.slice(0, -2)).toEqual([
      "retry: 1000",
      `id: q0-0-0-0\nevent: state\ndata: {"id":"${id}","state":"queued","attempt":0}`,
      `id: r1-0-0-0\nevent: state\ndata: {"id":"${id}","state":"running","attempt":1}`,
      `id: r1-1-2-0\nevent: stdout\ndata: {"offset":0,"content":"a\\n","encoding":"utf8"}`,
      `id: r1-2-2-2\nevent: stderr\ndata: {"offset":0,"content":"ü","encoding":"utf8"}`,
      `id: r1-3-2-2\nevent: case\ndata: {"name":"1","verdict":"accepted"}`,
      // Of the result: what nobody was told while it ran.
      `id: r1-3-3-2\nevent: stdout\ndata: {"offset":2,"content":"b","encoding":"utf8"}`,
    ]);
    const [head, ...data] = (lines.at(-2) ?? "").split("data: ");
    expect(head).toBe("id: x1-3-3-2\nevent: result\n");
    expect(JSON.parse(data.join(""))).toEqual({
      ...((await (await one.fetch(`/v1/jobs/${id}`)).json()) as object),
      result: { ...resultOf(""), stdout: { bytes: 3, truncated: false }, stderr: { bytes: 0, truncated: false } },
    });
  });

  test("sends the whole output of a job that nobody watched while it ran", async () => {
    const content = Buffer.from("ä€😀".repeat(60_000));
    const { id } = await one.accept();
    await (await take(id)).finish(doneWith(content));
    await using watch = await watchJob(other.url, id);
    await watch.ended;
    expect(watch.bytes("stdout").equals(content)).toBe(true);
    expect(watch.events.map(({ name }) => name).slice(0, 2)).toEqual(["state", "stdout"]);
    // Text is cut between characters, so that it can be shown as it comes.
    expect(new Set(watch.dataOf("stdout").map((data) => (data as { encoding: string }).encoding))).toEqual(
      new Set(["utf8"]),
    );
    expect(watch.dataOf("result")).toMatchObject([{ state: "done", attempt: 1 }]);
  });

  test("sends bytes that are no text as base64, exactly", async () => {
    const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 31) % 256));
    const { id } = await one.accept();
    await using watch = await watchJob(one.url, id);
    const attempt = await take(id);
    await attempt.write("stdout", content.subarray(0, 1000));
    await attempt.finish(doneWith(content));
    await watch.ended;
    expect(watch.bytes("stdout").equals(content)).toBe(true);
  });

  test("goes on behind any event, at any API, without loss or repeat", async () => {
    const { id } = await one.accept();
    await using whole = await watchQueued(one, id);
    const attempt = await take(id);
    for (const text of ["one ", "two ", "three "]) {
      await attempt.write("stdout", text);
      await attempt.write("stderr", `(${text})`);
    }
    await vi.waitFor(() => expect(whole.bytes("stderr").toString()).toBe("(one )(two )(three )"));
    await attempt.finish(done("one two three four"));
    await whole.ended;
    const all = whole.events.map(({ id, name, data }) => ({ id, name, data }));
    for (const [index, event] of all.entries()) {
      if (event.name === "result") continue;
      const response = await other.fetch(`/v1/jobs/${id}/events`, { headers: { "last-event-id": event.id } });
      expect([event.id, eventsOf(await response.text())]).toEqual([event.id, all.slice(index + 1)]);
    }
    const last = await one.fetch(`/v1/jobs/${id}/events`, { headers: { "last-event-id": all.at(-1)?.id ?? "" } });
    expect(last.status).toBe(204);
  });

  test("says when another attempt begins anew, and forgets what the first one wrote", async () => {
    const { id } = await one.accept();
    await using watch = await watchQueued(one, id);
    const first = await take(id);
    await first.write("stdout", "half of it");
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toBe("half of it"));
    await first.release();
    await vi.waitFor(() => expect(watch.dataOf("state")).toHaveLength(3));
    const second = await take(id);
    await second.write("stdout", "whole");
    await second.finish(done("whole"));
    await watch.ended;
    expect(watch.dataOf("state")).toEqual([
      { id, state: "queued", attempt: 0 },
      { id, state: "running", attempt: 1 },
      { id, state: "queued", attempt: 1 },
      { id, state: "running", attempt: 2 },
    ]);
    expect(watch.bytes("stdout").toString()).toBe("whole");
    // Who had seen the first attempt's output only.
    const halfway = watch.events.find(({ name }) => name === "stdout")?.id;
    await using late = await watchJob(other.url, id, halfway);
    await late.ended;
    expect(late.events.map(({ name }) => name)).toEqual(["state", "stdout", "result"]);
    expect(late.bytes("stdout").toString()).toBe("whole");
  });

  test("tells the end of a job that failed or was canceled, and what it wrote before", async () => {
    const canceled = await one.accept();
    await using queued = await watchJob(one.url, canceled.id);
    await vi.waitFor(() => expect(queued.events).toHaveLength(1));
    await one.fetch(`/v1/jobs/${canceled.id}`, { method: "DELETE" });
    await queued.ended;
    expect(queued.dataOf("result")).toMatchObject([{ state: "canceled", result: null }]);

    const { id } = await one.accept();
    await using watch = await watchJob(one.url, id);
    const attempt = await take(id);
    await attempt.write("stdout", "before");
    await attempt.finish({ state: "failed", error: { code: "setup_failed", message: "it broke" } });
    await watch.ended;
    expect(watch.bytes("stdout").toString()).toBe("before");
    expect(watch.dataOf("result")).toMatchObject([{ state: "failed", error: { code: "setup_failed" } }]);
  });

  test("passes over a gap in what was kept, and has it from the result", async () => {
    const { id } = await one.accept();
    const attempt = await take(id);
    await events.watch(id);
    await attempt.write("stdout", "0123");
    await attempt.append({ name: "stdout", offset: 6, bytes: Buffer.from("67") });
    await using watch = await watchJob(one.url, id);
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toBe("0123"));
    await attempt.finish(done("0123456789"));
    await watch.ended;
    expect(watch.bytes("stdout").toString()).toBe("0123456789");
  });

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

  test.each([
    ["an unknown job", UNKNOWN, {}, 404, "job_not_found"],
    ["what is no id of a job", "/v1/jobs/none/events", {}, 404, "job_not_found"],
    ["what is no id of an event", UNKNOWN, { "last-event-id": "r1-1" }, 400, "invalid_request"],
  ])("refuses %s", async (_, path, headers, status, code) => {
    const response = await one.fetch(path, { headers });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code } });
  });

  test("answers HEAD without waiting", async () => {
    const { id } = await one.accept();
    expect((await one.fetch(`/v1/jobs/${id}/events`, { method: "HEAD" })).status).toBe(200);
  });
});

describe("POST /v1/jobs?stream=true", () => {
  const post = async (query: string): Promise<Response> =>
    await one.fetch(`/v1/jobs?${query}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(program),
    });

  test("answers with the events of the new job", async () => {
    const response = await post("stream=true");
    const id = /^\/v1\/jobs\/(.*)$/.exec(response.headers.get("location") ?? "")?.[1] ?? "";
    await using watch = watchResponse(response);
    const attempt = await take(id);
    await attempt.write("stdout", "42\n");
    await attempt.finish(done("42\n"));
    await watch.ended;
    expect(watch.dataOf("state")[0]).toMatchObject({ id });
    expect(watch.bytes("stdout").toString()).toBe("42\n");
    expect(watch.dataOf("result")).toMatchObject([{ id, state: "done" }]);
  });

  test.each(["stream=false", "stream=true&wait=5", "stream=true&stream=true"])("refuses %s", async (query) => {
    const response = await post(query);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { details: [{ path: "stream" }] } });
  });
});

/** Events of a whole answer. */
function eventsOf(text: string): { id: string; name: string; data: string }[] {
  return [...text.matchAll(/^id: (.*)\nevent: (.*)\ndata: (.*)\n$/gm)].map(([, id = "", name = "", data = ""]) => ({
    id,
    name,
    data,
  }));
}

/** Bytes that Redis has sent so far. */
async function bytesReadFromRedis(): Promise<number> {
  const [, bytes] = /total_net_output_bytes:(\d+)/.exec(await one.api.redis.info("stats")) ?? [];
  return Number(bytes);
}
