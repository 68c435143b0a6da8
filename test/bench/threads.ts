/** The threads in which a bench measures: clients of what is in threads/. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Piscina } from "piscina";
import { parseMountInfo } from "../../worker/cgroup/mounts.ts";
import type { SlotThreadData } from "../../worker/container/slot.ts";
import { closeRunRequests, openRunRequests } from "../../worker/container/slot/run-request.ts";
import type { ContainerSpec, RunResult } from "../../worker/container/spec.ts";
import type { Observation } from "./observation.ts";
import type { ContainerTask, ContainerTime } from "./threads/container.ts";
import type { SpawnTask, SpawnThreadData } from "./threads/spawn.ts";
import type { Rootfs, Workbench } from "./workbench.ts";

/** Whether a container is prepared before it is measured. */
export type ContainerStart = RunResult["start"];

/** How long init may take until it waits, in milliseconds: what is measured then is no longer its preparation. */
const SETTLING_MS = 5;

/** A slot's thread with a stopwatch. */
export class ContainerThread implements AsyncDisposable {
  readonly #bench: Workbench;
  readonly #pool: Piscina<ContainerTask, ContainerTime | Observation | undefined>;
  readonly #data: SlotThreadData;
  #runs = 0;

  /** @param index of the slot: no two at once have the same */
  constructor(bench: Workbench, index: number) {
    this.#bench = bench;
    const warmth = { containersMax: 1, idleMs: Infinity };
    const channels = { cancellation: openRunRequests(), watch: openRunRequests() };
    this.#data = { ...bench.slotOptions(index), warmth, ...channels, latestRun: new SharedArrayBuffer(4) };
    this.#pool = openThread("container", this.#data);
  }

  /**
   * Runs the program in a container; returns how long that took.
   * @param layers directories, lowest first; the bench's image when left out
   * @param start `warm`: in one that has been prepared; that is not counted
   */
  async time(rootfs: Rootfs, layers?: readonly string[], start: ContainerStart = "cold"): Promise<ContainerTime> {
    return (await this.#run("time", start, this.#bench.spec(rootfs, layers))) as ContainerTime;
  }

  /** Runs the program in a container; returns where its time went. */
  async observe(rootfs: Rootfs, start: ContainerStart): Promise<Observation> {
    return (await this.#run("observe", start, this.#bench.spec(rootfs))) as Observation;
  }

  async #run(kind: "time" | "observe", start: ContainerStart, spec: ContainerSpec): Promise<unknown> {
    const run = ++this.#runs;
    if (start === "warm") {
      await this.#pool.run({ kind: "prepare", run, spec, start });
      await setTimeout(SETTLING_MS);
    }
    return await this.#pool.run({ kind, run, spec, start });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
    closeRunRequests(this.#data.cancellation);
    closeRunRequests(this.#data.watch);
  }
}

/** A thread that starts programs and waits for them. */
export class SpawnThread implements AsyncDisposable {
  readonly #pool: Piscina<SpawnTask, number>;

  constructor(bench: Workbench) {
    const hidden = hybridMountPoint();
    const workerData: SpawnThreadData = {
      stderr: join(bench.directory, "stderr"),
      ...(hidden !== undefined && { hidden }),
    };
    this.#pool = openThread("spawn", workerData);
  }

  /** Runs a command to its end; returns nanoseconds. @throws {Error} when it does not exit with 0 */
  async time(task: SpawnTask): Promise<number> {
    return await this.#pool.run(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

/** Threads are made as a slot makes its own, see worker/container/slot.ts. */
function openThread<Task, Result>(name: string, workerData: object): Piscina<Task, Result> {
  return new Piscina<Task, Result>({
    filename: new URL(`threads/${name}.ts`, import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: 1,
    workerData,
    trackUnmanagedFds: false,
  });
}

/** Where cgroup v2 is mounted beside v1's controllers: crun refuses to work where it sees both. */
function hybridMountPoint(): string | undefined {
  const mounts = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
  const isUnified = ({ hierarchies }: (typeof mounts)[number]): boolean => hierarchies.includes("");
  return mounts.every(isUnified) ? undefined : mounts.find(isUnified)?.mountPoint;
}
