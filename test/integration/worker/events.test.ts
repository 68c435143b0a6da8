import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { decodeContent } from "../../../shared/content.ts";
import { jobSchema } from "../../../shared/job.ts";
import { type RunningApi, startApi } from "../../support/api.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { type Watch, watchJob, watchResponse } from "../../support/watch.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

const MiB = 1024 * 1024;
/** A hundred of them are ten megabytes. */
const PIECE_BYTES = 104_858;
const OUTPUT_MAX = { LONGSHORE_MAX_OUTPUT_BYTES: String(16 * MiB) };

let redis: RedisServer;
let data: DataDirectory;
let one: RunningApi;
let other: RunningApi;
let worker: WorkerProcess;

const startWorker = (): WorkerProcess =>
  startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2", ...OUTPUT_MAX });

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash", "python");
  [one, other] = await Promise.all([startApi(redis.url, OUTPUT_MAX), startApi(redis.url, OUTPUT_MAX)]);
  worker = startWorker();
  await worker.ready;
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
  await redis.stop();
  await data[Symbol.asyncDispose]();
});

/** What a finished job's result says that it wrote. */
async function resultOf(id: string): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const job = jobSchema.parse(await (await one.fetch(`/v1/jobs/${id}?wait=60`)).json());
  if (job.kind !== "run" || job.result === null) throw new Error(`job ${id} has no result: ${JSON.stringify(job)}`);
  return { stdout: decodeContent(job.result.stdout), stderr: decodeContent(job.result.stderr) };
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function stream(body: Record<string, unknown>): Promise<Watch> {
  const response = await one.fetch("/v1/jobs?stream=true", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return watchResponse(response);
}

/** Ten megabytes of bytes that are no text, in pieces that take their time; stderr says what they were. */
const tenMegabytes = {
  language: "python",
  source: `
import hashlib, random, sys, time
generator, digest = random.Random(7), hashlib.sha256()
for _ in range(100):
    piece = generator.randbytes(${PIECE_BYTES})
    digest.update(piece)
    sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    time.sleep(0.01)
print(digest.hexdigest(), file=sys.stderr)
`,
  limits: { outputBytes: 12 * MiB, wallTimeMs: 60_000, memoryBytes: 128 * MiB },
};

describe("who watches a job", () => {
  it("sees what the program writes while it runs, and then the result", async () => {
    await using watch = await stream({
      language: "bash",
      source: "echo ready; echo and this >&2; sleep 1",
    });
    await using late = await stream({
      language: "bash",
      source: "echo first; until [ -e /tmp/never ]; do sleep 0.1; echo again; done",
    });
    await vi.waitFor(() => expect(late.bytes("stdout").toString()).toMatch(/^first\nagain\nagain\n/), 20_000);
    const { id } = late.dataOf("state")[0] as { id: string };
    // Somebody else comes in the middle, at another API, and sees it from the beginning.
    await using another = await watchJob(other.url, id);
    await vi.waitFor(() => expect(another.bytes("stdout").toString()).toMatch(/^first\nagain\nagain\n/), 20_000);
    await one.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    await Promise.all([late.ended, another.ended]);
    for (const { dataOf } of [late, another]) {
      expect(dataOf("result")).toMatchObject([{ id, state: "canceled", result: null }]);
    }
    expect(another.bytes("stdout").toString()).toBe(late.bytes("stdout").toString());
    await watch.ended;
    expect([watch.bytes("stdout").toString(), watch.bytes("stderr").toString()]).toEqual(["ready\n", "and this\n"]);
  });

  it("gets text as text, however the program cuts its characters", async () => {
    const text = "ä€😀 ".repeat(20);
    const source = `import os, time\nfor byte in ${JSON.stringify(text)}.encode():\n    os.write(1, bytes([byte])); time.sleep(0.004)`;
    await using watch = await stream({ language: "python", source });
    await watch.ended;
    expect(watch.bytes("stdout").toString()).toBe(text);
    const encodings = watch.dataOf("stdout").map((data) => (data as { encoding: string }).encoding);
    expect(encodings.length).toBeGreaterThan(1);
    expect(new Set(encodings)).toEqual(new Set(["utf8"]));
  });

  it("has ten megabytes whole, cut and resumed at one API and the other", { timeout: 120_000 }, async () => {
    const { id } = await one.accept(tenMegabytes);
    const pieces: Buffer[] = [];
    let position: string | undefined;
    let cuts = 0;
    for (let isOver = false; !isOver; cuts++) {
      const watch: Watch = await watchJob((cuts % 2 === 0 ? one : other).url, id, position);
      // Cut by the reader, in the middle of an event or not, each time when another megabyte has come.
      await Promise.race([
        watch.ended,
        vi.waitFor(() => expect(watch.bytes("stdout").length).toBeGreaterThan(MiB), 30_000),
      ]);
      watch.cut();
      await watch.ended;
      pieces.push(watch.bytes("stdout"));
      position = watch.events.at(-1)?.id ?? position;
      isOver = watch.events.at(-1)?.name === "result";
    }
    const all = Buffer.concat(pieces);
    const { stdout, stderr } = await resultOf(id);
    expect(cuts).toBeGreaterThan(5);
    expect(all.length).toBe(100 * PIECE_BYTES);
    expect(sha256(all)).toBe(sha256(stdout));
    expect(`${sha256(all)}\n`).toBe(stderr.toString());
  });

  it("and is slow holds up neither the program nor the other watchers", { timeout: 120_000 }, async () => {
    const { id } = await one.accept(tenMegabytes);
    const socket = connect(Number(new URL(one.url).port), "127.0.0.1");
    await once(socket, "connect");
    socket.pause();
    socket.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await using watch = await watchJob(one.url, id);
    await watch.ended;
    expect(sha256(watch.bytes("stdout"))).toBe(sha256((await resultOf(id)).stdout));
    socket.destroy();
  });

  it("has what the result has of a program that writes too much", async () => {
    const source = `import sys\nwhile True: sys.stdout.write("ä€😀")`;
    await using watch = await stream({ language: "python", source, limits: { outputBytes: 1_000_003 } });
    await watch.ended;
    const [{ id, result }] = watch.dataOf("result") as [{ id: string; result: Record<string, unknown> }];
    expect(result).toMatchObject({ outcome: "output_limit", stdout: { truncated: true, bytes: 1_000_001 } });
    expect(watch.bytes("stdout").equals((await resultOf(id)).stdout)).toBe(true);
  });

  it("is told of everything in a job that was not watched while it ran", async () => {
    const { id } = await one.accept({ language: "bash", source: "echo out; echo err >&2; exit 3" });
    const { stdout, stderr } = await resultOf(id);
    expect(await one.api.redis.exists(one.store.keys.jobEvents(id))).toBe(0);
    await using watch = await watchJob(other.url, id);
    await watch.ended;
    expect([watch.bytes("stdout"), watch.bytes("stderr")]).toEqual([stdout, stderr]);
    expect(watch.dataOf("result")).toMatchObject([{ result: { exitCode: 3 } }]);
  });

  it("is told by us of a command that cannot be run", async () => {
    const files = [{ path: "main.py", content: "print(1)" }];
    await using watch = await stream({ image: "python", command: ["absent"], files });
    await watch.ended;
    expect(watch.bytes("stderr").toString()).toContain("absent");
    expect(watch.dataOf("result")).toMatchObject([{ result: { exitCode: 127 } }]);
  });
});

describe("when the worker of a watched job dies", () => {
  it("the next attempt is announced, and its output begins anew", { timeout: 120_000 }, async () => {
    const first = worker;
    await using watch = await stream({
      language: "bash",
      source: 'echo "in $HOSTNAME"; for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; echo $n; done',
      limits: { wallTimeMs: 60_000 },
    });
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toMatch(/1\n2\n/), 20_000);
    first.signal("SIGKILL");
    await first.exit;
    worker = startWorker();
    await worker.ready;
    await watch.ended;
    expect(watch.dataOf("state").slice(-1)).toMatchObject([{ state: "running", attempt: 2 }]);
    const [{ id, attempt }] = watch.dataOf("result") as [{ id: string; attempt: number }];
    expect(attempt).toBe(2);
    expect(watch.bytes("stdout").toString()).toMatch(/^in \S+\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n$/);
    expect(watch.bytes("stdout").equals((await resultOf(id)).stdout)).toBe(true);
  });
});

describe("when Redis goes away while a job is watched", () => {
  it("its output is kept, and told when Redis is back", { timeout: 120_000 }, async () => {
    await using watch = await stream({
      language: "bash",
      source: "for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.5; done",
      limits: { wallTimeMs: 60_000 },
    });
    await vi.waitFor(() => expect(watch.bytes("stdout").toString()).toMatch(/^1\n/), 20_000);
    await redis.restart();
    await watch.ended;
    expect(watch.bytes("stdout").toString()).toBe("1\n2\n3\n4\n5\n6\n7\n8\n");
    expect(watch.dataOf("result")).toMatchObject([{ state: "done", attempt: 1 }]);
  });
});
