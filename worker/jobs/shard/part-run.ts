/** One command of a shard, in a container of its own, and what it says of its tests. */
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { encodeOutput, type EncodedOutput } from "../../../shared/content.ts";
import { ITEMS, REPORT_DIRECTORY, type ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardRun } from "../../../shared/shard-result.ts";
import type { ContainerSpec, OutputSpool, RunResult } from "../../container/spec.ts";
import type { StoredImage } from "../../images/store.ts";
import type { UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import type { Progress } from "../progress.ts";
import { hasSucceeded } from "../result.ts";
import { commandFor, type ShardPlace, variablesFor } from "./command.ts";
import { readTail } from "./log-tail.ts";
import { PartFiles } from "./part-files.ts";
import { runWatched } from "./run-watched.ts";
import { KEPT_BYTES, shorten } from "./shortened.ts";
import { noCounts } from "./parts.ts";
import { reportReaders } from "./reading/pool.ts";
import { type ReportRoom, shardRoom } from "./reading/read-reports.ts";
import type { RunReading } from "./reading/run-task.ts";

/** What those are shown who watch, of all shards and of one, in bytes of each stream: it is in Redis. All is in the log. */
const WATCHED_BYTES = { job: 16 * 1024 * 1024, shard: 1024 * 1024 };

/** Reports of one command: there may be one for each class or file of a suite. */
const REPORTS_MAX = 10_000;

/** What came of a command. */
export interface PartRun {
  readonly kind: "ran";
  readonly run: ShardRun;
  /** Whether it exited with 0. */
  readonly hasSucceeded: boolean;
  readonly reading: RunReading;
  /** Where its tests are written down. */
  readonly record: string;
  readonly stdout: EncodedOutput;
  readonly stderr: EncodedOutput;
}

/** A command, and its repetitions with what failed. */
export type Runs = readonly [PartRun, ...PartRun[]];

export interface PartRunnerOptions {
  readonly request: ShardRequest;
  readonly place: ShardPlace;
  /** Of a container with the job's layers, to be given a command. */
  readonly spec: ContainerSpec;
  readonly image: StoredImage;
  readonly spool: OutputSpool;
  readonly progress: Progress;
  readonly context: JobContext;
}

/** Runs the commands of one shard, one after the other, and gathers the files that they return. */
export class PartRunner {
  readonly files: PartFiles;
  readonly #options: PartRunnerOptions;
  #runs = 0;
  #room = shardRoom;

  constructor(options: PartRunnerOptions) {
    this.#options = options;
    this.files = new PartFiles(options.spool);
  }

  /**
   * Runs the command with items.
   * @param items none where the command splits by itself
   * @param earlier what it has run of these items before
   */
  async run(
    items: readonly string[],
    earlier: readonly PartRun[],
    slot: ContainerRunner,
    signal: AbortSignal,
  ): Promise<PartRun | UnfinishedOutcome> {
    const { spool, place } = this.#options;
    const origin = { shard: place.shard, run: ++this.#runs };
    await mkdir(spool.directory, { recursive: true, mode: 0o700 });
    const log = join(spool.directory, `log-${origin.run}`);
    const ended = await this.#execute(items, log, slot, signal);
    if (ended.kind !== "executed") return ended;
    const { result, stdout, loggedBytes } = ended;
    await this.files.addLog(origin, log, loggedBytes);
    for (const output of result.outputs) this.files.addOutput(origin, output);
    const record = join(spool.directory, `tests-${origin.run}`);
    const reading = await this.#read(result, items, earlier, record, signal);
    if (reading === undefined) return { kind: "canceled" };
    this.#room = lessen(this.#room, reading.used);
    const { tests, fault } = reading;
    const purpose = earlier.length === 0 ? "first" : "retry";
    return {
      kind: "ran",
      run: describeRun(result, { purpose, items: items.length, tests, fault }),
      hasSucceeded: hasSucceeded(result),
      reading,
      record,
      stdout,
      stderr: encodeOutput(shorten(result.stderr)),
    };
  }

  /** @param path of a file that gets what the command prints */
  async #execute(
    items: readonly string[],
    path: string,
    slot: ContainerRunner,
    signal: AbortSignal,
  ): Promise<Executed | UnfinishedOutcome> {
    const { image, place, progress, context } = this.#options;
    await using log = await open(path, "wx+", 0o600);
    const spec = this.#specFor(items, log.fd);
    const output = progress.outputOf({ shard: place.shard }, this.#watchedBytes);
    const labels = { stage: "run", language: undefined, image } as const;
    const result = await runWatched(spec, labels, slot, context, signal, output);
    if (result.kind !== "ended") return result;
    const { tail, bytes } = await readTail(log, KEPT_BYTES);
    return { kind: "executed", result, stdout: tail, loggedBytes: bytes };
  }

  /** Reads what a command has reported. @returns undefined when the attempt is to end */
  async #read(
    result: RunResult,
    items: readonly string[],
    earlier: readonly PartRun[],
    target: string,
    signal: AbortSignal,
  ): Promise<RunReading | undefined> {
    const { request, place } = this.#options;
    const task = {
      files: result.reports ?? [],
      patterns: request.reportFiles,
      room: this.#room,
      shard: place.shard - 1,
      round: earlier.length,
      items,
      ending: describeEnding(result),
      before: earlier.at(-1)?.reading.merged ?? { ...noCounts, lost: items.length },
      earlier: earlier.map(({ record }) => record),
      target,
    };
    try {
      return await reportReaders.read(task, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }

  get #watchedBytes(): number {
    return Math.min(WATCHED_BYTES.shard, Math.floor(WATCHED_BYTES.job / this.#options.place.shards));
  }

  #specFor(items: readonly string[], log: number): ContainerSpec {
    const { request, place, spec, spool } = this.#options;
    const { command, environment, reportFiles, outputs } = request;
    const splitting = command.includes(ITEMS) ? "by items" : "by itself";
    return {
      ...spec,
      command: commandFor(command, place, items),
      environment: { ...spec.environment, ...variablesFor(place, splitting), ...environment },
      directories: [REPORT_DIRECTORY],
      outputs,
      outputSpool: this.files.spool,
      reports: {
        patterns: reportFiles,
        filesMax: REPORTS_MAX,
        spool: { directory: spool.directory, bytesMax: this.#room.bytes },
      },
      streams: { stdoutCopy: log, keptBytes: Math.max(KEPT_BYTES, this.#watchedBytes) },
    };
  }
}

/** A command that has ended. */
interface Executed {
  readonly kind: "executed";
  readonly result: RunResult;
  /** Its end. */
  readonly stdout: EncodedOutput;
  readonly loggedBytes: number;
}

function lessen(room: ReportRoom, used: ReportRoom): ReportRoom {
  return { bytes: Math.max(0, room.bytes - used.bytes), tests: Math.max(0, room.tests - used.tests) };
}

/** How a command ended, in words. */
export function describeEnding({
  outcome,
  exitCode,
  signal,
}: Pick<RunResult, "outcome" | "exitCode" | "signal">): string {
  if (outcome === "exited") return `exit code ${exitCode}`;
  return outcome === "signaled" ? `ended by ${signal}` : `ended by its ${outcome.replace("_", " ")}`;
}

function describeRun(
  { outcome, exitCode, signal, usage }: RunResult,
  facts: Pick<ShardRun, "purpose" | "items" | "tests" | "fault">,
): ShardRun {
  const { wallTimeMs, cpuTimeMs, memoryPeakBytes } = usage;
  return { outcome, exitCode, signal, ...facts, wallTimeMs, cpuTimeMs, memoryPeakBytes };
}
