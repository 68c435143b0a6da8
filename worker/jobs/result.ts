/** From what containers bring back to the result of a job. */
import { encodeOutput } from "../../shared/content.ts";
import type { BuildResult, JobResult, OutputFileEntry } from "../../shared/job-result.ts";
import type { OutputFile, RunResult } from "../container/spec.ts";

/** What a result says beside what its containers did. */
export interface Circumstances {
  /** Milliseconds between the request and the start of this attempt. */
  readonly queuedMs: number;
  /** Milliseconds that the pull of the image took; 0 when there was none. */
  readonly pullMs: number;
  /** Digest of the image. */
  readonly image: string;
  /** Id of the worker. */
  readonly worker: string;
}

/** Whether a build made something to run. */
export function hasSucceeded(build: RunResult): boolean {
  return build.outcome === "exited" && build.exitCode === 0;
}

/** The result of a job whose program ran. */
export function jobResult(run: RunResult, build: RunResult | undefined, circumstances: Circumstances): JobResult {
  const { queuedMs, pullMs, image, worker } = circumstances;
  const { timings, ...fields } = containerResult(run);
  return {
    ...fields,
    build: build === undefined ? null : containerResult(build),
    timings: { queuedMs, pullMs, ...timings },
    image,
    worker,
  };
}

/**
 * The result of a job whose build failed. The program was never run, so its fields say that nothing was written and
 * nothing used; the compiler's messages, exit code and usage are those of `build`.
 */
export function buildFailedResult(build: RunResult, circumstances: Circumstances): JobResult {
  const { queuedMs, pullMs, image, worker } = circumstances;
  const nothing = encodeOutput({ content: new Uint8Array(), truncated: false });
  return {
    outcome: "build_failed",
    exitCode: null,
    signal: null,
    stdout: nothing,
    stderr: nothing,
    outputs: [],
    usage: {
      cpuTimeMs: 0,
      userTimeMs: 0,
      systemTimeMs: 0,
      wallTimeMs: 0,
      memoryPeakBytes: 0,
      maxRssBytes: 0,
      processesPeak: 0,
    },
    build: containerResult(build),
    timings: { queuedMs, pullMs, prepareMs: 0, runMs: 0, collectMs: 0 },
    image,
    worker,
  };
}

/** What is said of one container. */
export function containerResult(run: RunResult): BuildResult {
  const { outcome, exitCode, signal, usage, timings } = run;
  return {
    outcome,
    exitCode,
    signal,
    stdout: encodeOutput(run.stdout),
    stderr: encodeOutput(run.stderr),
    outputs: run.outputs.map(listOutput),
    usage: { ...usage },
    timings: { ...timings },
  };
}

function listOutput(output: OutputFile): OutputFileEntry {
  const { path } = output;
  if ("error" in output) return { path, error: output.error };
  return { path, bytes: "file" in output ? output.bytes : output.content.byteLength, sha256: output.sha256 };
}

/** A file that a job returned, in memory or on the worker's disk. */
export type ReturnedFile =
  { readonly path: string; readonly content: Uint8Array } | { readonly path: string; readonly file: string };

/** The files that a run returned; they are stored beside the result. */
export function returnedFiles(run: RunResult): ReturnedFile[] {
  return run.outputs.flatMap((output): ReturnedFile[] => {
    if ("error" in output) return [];
    const { path } = output;
    return ["file" in output ? { path, file: output.file } : { path, content: output.content }];
  });
}
