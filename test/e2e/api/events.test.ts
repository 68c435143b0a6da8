/** What is told of a job, in which form. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { JobEvents } from "../../../shared/job-events.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { done, resultOf } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { watchJob, watchResponse } from "../../support/watch.ts";
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

const UNKNOWN = "/v1/jobs/00000000-0000-4000-8000-000000000000/events";

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
