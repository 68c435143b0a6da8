/** One command of a shard, in a container of its own, and what it says of its tests. */
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { encodeOutput, type EncodedOutput } from "../../../shared/content.ts";
import { REPORT_DIRECTORY, type ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardRun } from "../../../shared/shard-result.ts";
import type { ContainerSpec, OutputFile, OutputSpool, RunResult } from "../../container/spec.ts";
import type { StoredImage } from "../../images/store.ts";
import { runContainer, type UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import { hasSucceeded, type ReturnedFile } from "../result.ts";
import { commandFor, type ShardPlace, variablesFor } from "./command.ts";
import { createMatcher } from "./file-patterns.ts";
import { readRunInThread } from "./threads/pool.ts";
import { type ReportRoom, shardRoom } from "./threads/read-reports.ts";
import type { RunReading } from "./threads/run-task.ts";

/** What of each stream is in the result, in bytes. */
const KEPT_BYTES = 16 * 1024;

/** Files that one shard returns, and those of which it says why it does not. */
const FILES_MAX = 1000;
const MISSING_MAX = 100;

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

export interface PartRunnerOptions {
  readonly request: ShardRequest;
  readonly place: ShardPlace;
  /** Of a container with the job's layers, to be given a command. */
  readonly spec: ContainerSpec;
  readonly image: StoredImage;
  readonly spool: OutputSpool;
  readonly slot: ContainerRunner;
  readonly context: JobContext;
}

/** Runs the commands of one shard, one after the other, and gathers the files that they return. */
export class PartRunner {
  readonly files: ReturnedFile[] = [];
  readonly missing: { readonly path: string; readonly error: string }[] = [];
  readonly #options: PartRunnerOptions;
  readonly #isReport: (path: string) => boolean;
  readonly #isOutput: (path: string) => boolean;
  readonly #paths = new Set<string>();
  #runs = 0;
  #spoolBytes = 0;
  #room = shardRoom;

  constructor(options: PartRunnerOptions) {
    this.#options = options;
    this.#isReport = createMatcher(options.request.reportFiles);
    this.#isOutput = createMatcher(options.request.outputs);
  }

  /**
   * Runs the command with items.
   * @param items none where the command splits by itself
   * @param earlier what it has run of these items before
   */
  async run(
    items: readonly string[],
    earlier: readonly PartRun[],
    signal: AbortSignal,
  ): Promise<PartRun | UnfinishedOutcome> {
    const { request, image, slot, context, spool, place } = this.#options;
    this.#runs++;
    await mkdir(spool.directory, { recursive: true, mode: 0o700 });
    const path = join(spool.directory, `log-${this.#runs}`);
    let result: RunResult;
    let logged: { readonly tail: EncodedOutput; readonly bytes: number };
    {
      await using log = await open(path, "wx+", 0o600);
      const spec = this.#specFor(items, log.fd);
      const ended = await runContainer(spec, { stage: "run", language: undefined, image }, slot, context, signal);
      if (ended.kind !== "ended") return ended;
      result = ended;
      logged = await readTail(log);
    }
    if (this.#spoolBytes + logged.bytes > spool.bytesMax) {
      await rm(path);
      this.#miss(this.#logPath(), `${logged.bytes} bytes are more than are left for files of this shard`);
    } else if (logged.bytes > 0) {
      this.#spoolBytes += logged.bytes;
      this.#return({ path: this.#logPath(), file: path });
    }

    const reports = result.outputs.filter((output) => this.#isReport(output.path));
    for (const output of result.outputs) {
      if (this.#isOutput(output.path)) this.#returnOutput(output, reports);
      else if ("error" in output && !this.#isReport(output.path)) this.#miss(this.#pathOf(output.path), output.error);
    }
    const record = join(spool.directory, `tests-${this.#runs}`);
    const reading = await readRunInThread(
      {
        files: reports,
        patterns: request.reportFiles,
        room: this.#room,
        shard: place.shard - 1,
        round: earlier.length,
        items,
        earlier: earlier.map((run) => run.record),
        target: record,
      },
      signal,
    ).catch((error: unknown) => {
      if (signal.aborted) return undefined;
      throw error;
    });
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
      stdout: logged.tail,
      stderr: encodeOutput(result.stderr),
    };
  }

  #specFor(items: readonly string[], log: number): ContainerSpec {
    const { request, place, spec, spool } = this.#options;
    const { command, environment, reportFiles, outputs } = request;
    const splitting = command.includes("{items}") ? "by items" : "by itself";
    return {
      ...spec,
      command: commandFor(command, place, items),
      environment: { ...spec.environment, ...variablesFor(place, splitting), ...environment },
      directories: [REPORT_DIRECTORY],
      outputs: [...new Set([...reportFiles, ...outputs])],
      outputSpool: { ...spool, bytesMax: Math.max(0, spool.bytesMax - this.#spoolBytes) },
      streams: { stdoutCopy: log, keptBytes: KEPT_BYTES },
    };
  }

  #logPath(): string {
    const { shard } = this.#options.place;
    return this.#runs === 1 ? `logs/shard-${shard}.log` : `logs/shard-${shard}.run-${this.#runs}.log`;
  }

  #pathOf(path: string): string {
    const directory = this.#runs === 1 ? "" : `run-${this.#runs}/`;
    return `shard-${this.#options.place.shard}/${directory}${path.replace(/^\//, "")}`;
  }

  #returnOutput(output: OutputFile, reports: readonly OutputFile[]): void {
    const path = this.#pathOf(output.path);
    if ("error" in output) this.#miss(path, output.error);
    else if ("content" in output) this.#return({ path, content: output.content });
    else if (reports.includes(output)) this.#miss(path, "a report as large as this is in report.xml only");
    else {
      this.#spoolBytes += output.bytes;
      this.#return({ path, file: output.file });
    }
  }

  #return(file: ReturnedFile): void {
    const { path } = file;
    if (this.#paths.has(path)) this.#miss(path, "another file has this path already");
    else if (this.files.length >= FILES_MAX) this.#miss(path, `more than ${FILES_MAX} files: the rest is left out`);
    else {
      this.#paths.add(path);
      this.files.push(file);
    }
  }

  #miss(path: string, error: string): void {
    if (this.missing.length < MISSING_MAX) this.missing.push({ path, error });
  }
}

function lessen(room: ReportRoom, used: ReportRoom): ReportRoom {
  return { bytes: Math.max(0, room.bytes - used.bytes), tests: Math.max(0, room.tests - used.tests) };
}

function describeRun(
  { outcome, exitCode, signal, usage }: RunResult,
  facts: Pick<ShardRun, "purpose" | "items" | "tests" | "fault">,
): ShardRun {
  const { wallTimeMs, cpuTimeMs, memoryPeakBytes } = usage;
  return { outcome, exitCode, signal, ...facts, wallTimeMs, cpuTimeMs, memoryPeakBytes };
}

/** The end of what was written to a file. */
async function readTail(log: Awaited<ReturnType<typeof open>>): Promise<{ tail: EncodedOutput; bytes: number }> {
  const { size } = await log.stat();
  const tail = Buffer.alloc(Math.min(size, KEPT_BYTES));
  const { bytesRead } = await log.read(tail, 0, tail.length, size - tail.length);
  const isCut = size > tail.length;
  const content = isCut ? withoutPartialBegin(tail.subarray(0, bytesRead)) : tail.subarray(0, bytesRead);
  return { tail: { ...encodeOutput({ content, truncated: false }), truncated: isCut }, bytes: size };
}

/** A cut may fall inside of a character: what is left of it is dropped, which is three bytes at most (RFC 3629). */
function withoutPartialBegin(bytes: Buffer): Buffer {
  const begin = bytes.subarray(0, 4).findIndex((byte) => (byte & 0b1100_0000) !== 0b1000_0000);
  return begin > 0 ? bytes.subarray(begin) : bytes;
}
