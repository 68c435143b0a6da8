/** A client's view of jobs, straight on Redis: posts requests, waits for what comes of them, counts the reports. */
import { once } from "node:events";
import { asRunJob, isFinished, type Job, type RunJob } from "../../../shared/job.ts";
import { createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { JobSignals } from "../../../shared/job-signals.ts";
import { JobStore } from "../../../shared/job-store.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { loadPresets, resolveRequest, SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { JobQueue } from "../../../shared/queue.ts";
import { connectRedis } from "../../../shared/redis.ts";
import { Submitter } from "../../../shared/submit.ts";
import { waitForJob } from "../../../shared/wait-for-job.ts";

const schema = createJobRequestSchema(defaultMaxima);
const presets = loadPresets(SHIPPED_IMAGES);
const QUEUE = "longshore";

export class Client implements AsyncDisposable {
  readonly store: JobStore;
  readonly redis: ReturnType<typeof connectRedis>;
  readonly #subscriber: ReturnType<typeof connectRedis>;
  readonly #queue: JobQueue;
  readonly #submitter: Submitter;
  readonly #finished: JobSignals;
  readonly #reports = new Map<string, number>();

  private constructor(url: string, attempts: number) {
    this.redis = connectRedis(url, "consumer", () => undefined);
    this.#subscriber = connectRedis(url, "subscriber", () => undefined);
    this.store = new JobStore({ redis: this.redis, queue: QUEUE, resultTtlSeconds: 600 });
    this.#queue = new JobQueue({ redis: this.redis, queue: QUEUE, attempts });
    this.#submitter = new Submitter(this.store, this.#queue, 1000);
    this.#finished = new JobSignals(this.#subscriber, this.redis, this.store.keys.finishedChannel);
    this.#subscriber.on("message", (channel: string, message: string) => {
      if (channel !== this.store.keys.finishedChannel) return;
      // What became of it is said behind its id.
      const [id = ""] = message.split(" ", 1);
      this.#reports.set(id, (this.#reports.get(id) ?? 0) + 1);
    });
  }

  static async open(url: string, attempts = 3): Promise<Client> {
    const client = new Client(url, attempts);
    await client.redis.ping();
    if (client.#subscriber.status !== "ready") await once(client.#subscriber, "ready");
    return client;
  }

  /** Posts a request and returns the job's id. */
  async post(body: Record<string, unknown>): Promise<string> {
    const request = resolveRequest(parseJobRequest(schema, body), presets, defaultMaxima);
    const { job } = await this.#submitter.submit(request);
    return job.id;
  }

  /** The job, of kind `run`, as soon as it is finished. */
  async finished(id: string): Promise<RunJob> {
    return asRunJob(await this.#waitUntil(id, isFinished));
  }

  /** The job as soon as a worker has it, or has had it. */
  async started(id: string): Promise<Job> {
    return await this.#waitUntil(id, ({ state }) => state !== "queued");
  }

  async run(body: Record<string, unknown>): Promise<RunJob> {
    return await this.finished(await this.post(body));
  }

  /** How often a job was reported as finished. */
  reportsOf(id: string): number {
    return this.#reports.get(id) ?? 0;
  }

  /** How many connections are told of finished jobs: 1, when this one's own is. */
  async listeners(): Promise<number> {
    const [, count] = (await this.redis.pubsub("NUMSUB", this.store.keys.finishedChannel)) as [string, number];
    return count;
  }

  async #waitUntil(id: string, isReached: (job: Job) => boolean): Promise<Job> {
    for (;;) {
      const job = await this.store.get(id);
      if (job === undefined) throw new Error(`there is no job ${id}`);
      if (isReached(job)) return job;
      // Wakes up at the end of the job, else has a look again soon: starts are not published.
      await waitForJob(this.store, this.#finished, job, AbortSignal.timeout(20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue[Symbol.asyncDispose]();
    this.#finished[Symbol.dispose]();
    this.#subscriber.disconnect();
    this.redis.disconnect();
  }
}
