/** An API and workers for tests of sharded suites, and a client that posts them. */
import type { Redis } from "ioredis";
import { connectRedis } from "../../../shared/redis.ts";
import { type ShardJob, shardJobSchema } from "../../../shared/job.ts";
import type { ShardEvent, ShardResult } from "../../../shared/shard-result.ts";
import { shardEventSchema } from "../../../shared/shard-result.ts";
import { type RunningApi, startApi } from "../../support/api.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

/** An event of a stream of server-sent events. */
export interface SentEvent {
  readonly name: string;
  readonly data: unknown;
}

export class ShardBench implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly data: DataDirectory;
  readonly api: RunningApi;
  readonly #resources: AsyncDisposableStack;

  private constructor(redis: RedisServer, data: DataDirectory, api: RunningApi, resources: AsyncDisposableStack) {
    this.redis = redis;
    this.data = data;
    this.api = api;
    this.#resources = resources;
  }

  /** @param environment of the API */
  static async open(environment: Readonly<Record<string, string>> = {}): Promise<ShardBench> {
    await using resources = new AsyncDisposableStack();
    const redis = await startRedis();
    resources.defer(() => redis.stop());
    const data = resources.use(await makeDataDirectory("python"));
    const api = resources.use(await startApi(redis.url, { LONGSHORE_DATA: data.path, ...environment }));
    return new ShardBench(redis, data, api, resources.move());
  }

  /** As {@link open}, with one worker. */
  static async openWithWorker(): Promise<ShardBench> {
    await using resources = new AsyncDisposableStack();
    const bench = resources.use(await ShardBench.open());
    bench.#resources.use(await bench.startWorker());
    resources.move();
    return bench;
  }

  /** Starts a worker of two slots that takes jobs; whoever asked ends it. */
  async startWorker(environment: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
    const worker = startWorkerProcess({
      REDIS_URL: this.redis.url,
      LONGSHORE_DATA: this.data.path,
      LONGSHORE_SLOTS: "2",
      ...environment,
    });
    await worker.ready;
    return worker;
  }

  /** Posts a job and returns it when it is finished. */
  async run(body: Readonly<Record<string, unknown>>): Promise<ShardJob> {
    const { id } = await this.api.accept({ kind: "shard", image: "python", ...body });
    return await this.finished(id);
  }

  /** The result of a job that has one. */
  async result(body: Readonly<Record<string, unknown>>): Promise<ShardResult> {
    return resultOf(await this.run(body));
  }

  async finished(id: string): Promise<ShardJob> {
    for (;;) {
      const response = await this.api.fetch(`/v1/jobs/${id}?wait=60`);
      if (response.status === 200) return shardJobSchema.parse(await response.json());
    }
  }

  /** All that Redis holds now, as texts: names of keys, and what is in them. */
  async everythingInRedis(): Promise<string[]> {
    const redis = connectRedis(this.redis.url, "consumer", () => undefined);
    try {
      const keys = await redis.keys("*");
      return await Promise.all(keys.map(async (key) => `${key} ${JSON.stringify(await contentOf(redis, key))}`));
    } finally {
      redis.disconnect();
    }
  }

  async report(id: string): Promise<string> {
    const response = await this.api.fetch(`/v1/jobs/${id}/report.xml`);
    if (response.status !== 200) throw new Error(`the report is ${response.status}: ${await response.text()}`);
    return await response.text();
  }

  async output(id: string, path: string): Promise<string> {
    const response = await this.api.fetch(`/v1/jobs/${id}/outputs/${path}`);
    if (response.status !== 200) throw new Error(`${path} is ${response.status}: ${await response.text()}`);
    return await response.text();
  }

  /** What happens in a job, until its result, or until nobody reads on. */
  async *events(id: string): AsyncGenerator<SentEvent, void, void> {
    yield* eventsOf(await this.api.fetch(`/v1/jobs/${id}/events`));
  }

  /** Posts a job, and is told all that happens in it. */
  async *watched(body: Readonly<Record<string, unknown>>): AsyncGenerator<SentEvent, void, void> {
    const headers = { "content-type": "application/json" };
    const request = JSON.stringify({ kind: "shard", image: "python", ...body });
    yield* eventsOf(await this.api.fetch("/v1/jobs?stream=true", { method: "POST", headers, body: request }));
  }

  /** What is told of the shards of a job. */
  async *shardEvents(id: string): AsyncGenerator<ShardEvent, void, void> {
    for await (const { name, data } of this.events(id)) if (name === "shard") yield shardEventSchema.parse(data);
  }

  /** Resolves with the first event of a shard that is asked for. */
  async shardEvent(id: string, isMeant: (event: ShardEvent) => boolean): Promise<ShardEvent> {
    for await (const event of this.shardEvents(id)) if (isMeant(event)) return event;
    throw new Error("the job has ended without this event");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function* eventsOf({ body }: Response): AsyncGenerator<SentEvent, void, void> {
  let text = "";
  for await (const piece of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [, name] = /^event: (.*)$/m.exec(text.slice(0, end)) ?? [];
      const [, data = "null"] = /^data: (.*)$/m.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (name !== undefined) yield { name, data: JSON.parse(data) };
    }
  }
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case "string":
      return await redis.get(key);
    case "hash":
      return await redis.hgetall(key);
    case "list":
      return await redis.lrange(key, "0", "-1");
    case "set":
      return await redis.smembers(key);
    case "zset":
      return await redis.zrange(key, "0", "-1");
    case "stream":
      return await redis.xrange(key, "-", "+");
    case "none":
      // It has gone since it was listed.
      return null;
    default:
      throw new Error(`${key} is a ${type}`);
  }
}

export function resultOf({ state, result, error }: ShardJob): ShardResult {
  if (result === null) throw new Error(`the job is ${state}: ${error?.message}`);
  return result;
}

/** A program in Python as the command of a shard. */
export function python(program: string): string[] {
  return ["python3", "-c", program];
}
