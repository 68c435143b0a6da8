/**
 * What hostile programs attack: Longshore as `npm start` runs it, by default with one slot, so that each job follows
 * the last one in its place. Programs come in as anybody's do, over HTTP.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { vi } from "vitest";
import { type RunJob, runJobSchema } from "../../shared/job.ts";
import { workerSchema } from "../../shared/workers.ts";
import { makeDataDirectory } from "../support/data-directory.ts";
import { childrenOf, type Longshore, startLongshore } from "../support/longshore.ts";
import { mountsOf } from "../support/mounts.ts";
import { patiently } from "../support/patience.ts";
import { containerCgroups } from "../support/worker-cgroups.ts";

/** For how long, and how often, what happens after a job's end is looked for. */
export const PATIENCE = { timeout: patiently(90_000), interval: 50 } as const;

/**
 * What containers could leave behind on the machine, without the numbers that are other ones each time. Each slot at rest
 * has one cgroup, and one process in it, for the next of its containers.
 */
export interface Traces {
  /** Of containers. */
  readonly cgroups: readonly string[];
  /** Names of the worker's children, zombies included: the first process of a container is one. */
  readonly processes: readonly string[];
  /** In the mount namespaces of the test and of every thread of the worker. */
  readonly mounts: readonly string[];
  /** What the worker's descriptors are open on. */
  readonly descriptors: readonly string[];
  /** Files in the data directory but for those of Redis. */
  readonly files: readonly string[];
}

export class Target implements AsyncDisposable {
  readonly url: string;
  readonly #longshore: Longshore;
  readonly #dataDirectory: string;
  readonly #worker: { readonly id: string; readonly pid: number };
  readonly #slots: number;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    longshore: Longshore,
    dataDirectory: string,
    worker: { readonly id: string; readonly pid: number },
    slots: number,
    resources: AsyncDisposableStack,
  ) {
    this.url = longshore.url;
    this.#longshore = longshore;
    this.#dataDirectory = dataDirectory;
    this.#worker = worker;
    this.#slots = slots;
    this.#resources = resources;
  }

  /** @param settings what an operator would set besides, in the environment */
  static async open(slots = 1, settings: Readonly<Record<string, string>> = {}): Promise<Target> {
    await using resources = new AsyncDisposableStack();
    const data = resources.use(await makeDataDirectory());
    // Containers that wait for jobs would be counted among the traces of those that had one, where traces are looked at.
    const waiting = process.env["TEST_CONTAINERS"] === "warm" ? {} : { LONGSHORE_WARM_CONTAINERS: "0" };
    const own = { LONGSHORE_SLOTS: String(slots), LONGSHORE_LOG_LEVEL: "error", ...waiting };
    const environment = { ...own, ...settings };
    const longshore = resources.use(await startLongshore(data.path, environment));
    const { LONGSHORE_API_KEY: key } = settings;
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${longshore.url}/v1/workers`, { headers });
    const { workers } = (await response.json()) as { workers: unknown[] };
    const { id } = workerSchema.parse(workers[0]);
    const pid = childrenOf(longshore).get("worker");
    if (pid === undefined) throw new Error("npm start runs no worker");
    return new Target(longshore, data.path, { id, pid }, slots, resources.move());
  }

  /** Ports of this machine's loopback that a program has no business with: Redis and the API. */
  get ports(): readonly number[] {
    return [this.url, this.redisUrl].map((url) => Number(new URL(url).port));
  }

  /** With its password. */
  get redisUrl(): string {
    return readFileSync(`${this.#dataDirectory}/redis/url`, "utf8").trim();
  }

  /** Lines that all of its processes have printed so far. */
  get log(): readonly string[] {
    return this.#longshore.lines;
  }

  /** The worker's process id, as the machine counts. */
  get workerPid(): number {
    return this.#worker.pid;
  }

  /** Posts a job, which is accepted. */
  async post(request: unknown): Promise<RunJob> {
    const response = await this.submit(request);
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return runJobSchema.parse(await response.json());
  }

  submit(request: unknown): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`${this.url}/v1/jobs`, { method: "POST", headers, body: JSON.stringify(request) });
  }

  /** The job when it is finished. */
  async finished({ id }: Pick<RunJob, "id">): Promise<RunJob> {
    for (;;) {
      const job = runJobSchema.parse(await (await fetch(`${this.url}/v1/jobs/${id}?wait=30`)).json());
      if (job.finishedAt !== null) return job;
    }
  }

  async cancel({ id }: Pick<RunJob, "id">): Promise<void> {
    await fetch(`${this.url}/v1/jobs/${id}`, { method: "DELETE" });
  }

  async run(request: unknown): Promise<RunJob> {
    return await this.finished(await this.post(request));
  }

  /** What a program prints that has to end well. */
  async output(request: unknown): Promise<string> {
    const { result, error } = await this.run(request);
    if (result?.exitCode !== 0) throw new Error(`the program failed: ${JSON.stringify(result?.stderr ?? error)}`);
    return result.stdout.content;
  }

  /** Process ids, as the machine counts, of everything that runs in containers. */
  containerProcesses(): string[] {
    const cgroups = containerCgroups(this.#worker.id);
    return [...new Set(cgroups.flatMap((cgroup) => linesOf(join(cgroup, "cgroup.procs"))))];
  }

  /** What is there once the slots have tidied up after their last containers. */
  async settledTraces(): Promise<Traces> {
    return await vi.waitFor(() => {
      const traces = this.traces();
      const alive = [traces.processes.length, this.containerProcesses().length];
      if (alive.some((count) => count !== this.#slots)) throw new Error(`not one process a slot: ${alive.join(", ")}`);
      return traces;
    }, PATIENCE);
  }

  traces(): Traces {
    const { pid, id } = this.#worker;
    const tasks = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);
    return {
      cgroups: containerCgroups(id).map((path) => path.replace(/-\d+$/, "-N")),
      processes: tasks.flatMap((task) => childrenOfTask(task)).flatMap((child) => linesOf(`/proc/${child}/comm`)),
      mounts: [process.pid, pid].flatMap((id) => mountsOf(id, this.#dataDirectory)),
      descriptors: readdirSync(`/proc/${pid}/fd`)
        .map((descriptor) => `/proc/${pid}/fd/${descriptor}`)
        .filter((path) => existsSync(path))
        .map((path) => readlinkSync(path).replace(/\d+/g, "N"))
        .toSorted(),
      files: readdirSync(this.#dataDirectory).filter((name) => name !== "redis"),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Ids of the processes that a thread has started: `1 2 3 `, see proc_tid_children(5). */
function childrenOfTask(task: string): string[] {
  return linesOf(`${task}/children`).flatMap((line) => line.trim().split(" "));
}

/** Lines of a file of the kernel's, none where what it tells about has gone. */
function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split(/\s*\n/).filter(Boolean);
  } catch (error) {
    const isGone =
      error instanceof Error && "code" in error && ["ENOENT", "ENODEV", "ESRCH"].includes(String(error.code));
    if (isGone) return [];
    throw error;
  }
}
