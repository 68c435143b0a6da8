import { describe, expect, it } from "vitest";
import { jobResultSchema } from "../../../shared/job-result.ts";
import type { OutputFile } from "../../../worker/container/spec.ts";
import { buildFailedResult, hasSucceeded, jobResult, returnedFiles } from "../../../worker/jobs/result.ts";
import { runResult } from "./sample.ts";

const circumstances = { queuedMs: 1.5, pullMs: 2.5, image: `sha256:${"3".repeat(64)}`, worker: "host-0-abcdef" };

describe("the result of a job", () => {
  it("has the run's fields, the whole way's timings, image and worker", () => {
    const result = jobResult(runResult(), undefined, circumstances);
    expect(jobResultSchema.parse(result)).toEqual(result);
    expect(result).toMatchObject({
      outcome: "exited",
      exitCode: 0,
      stdout: { content: "hello", encoding: "utf8", bytes: 5, truncated: false },
      build: null,
      timings: { queuedMs: 1.5, pullMs: 2.5, prepareMs: 7, runMs: 8, collectMs: 9 },
      worker: "host-0-abcdef",
    });
  });

  it("has the build's own fields and timings beside the run's", () => {
    const build = runResult({ stderr: { content: Buffer.from("warning"), truncated: false } });
    const result = jobResult(runResult({ exitCode: 3 }), build, circumstances);
    expect(jobResultSchema.parse(result)).toEqual(result);
    expect(result.exitCode).toBe(3);
    expect(result.build).toMatchObject({ exitCode: 0, stderr: { content: "warning" }, timings: { runMs: 8 } });
  });

  it("gives bytes that are not UTF-8 as base64", () => {
    const result = jobResult(
      runResult({ stdout: { content: Buffer.from([0xff]), truncated: false } }),
      undefined,
      circumstances,
    );
    expect(result.stdout).toEqual({ content: "/w==", encoding: "base64", bytes: 1, truncated: false });
  });

  it("lists files by size and hash, and those that could not be had by their error", () => {
    const outputs: OutputFile[] = [
      { path: "a", content: Buffer.from("abc"), sha256: "0".repeat(64) },
      { path: "b", error: "a FIFO is not a regular file" },
      { path: "c", file: "/spool/1", bytes: 5_000_000, sha256: "1".repeat(64) },
    ];
    const run = runResult({ outputs });
    expect(jobResult(run, undefined, circumstances).outputs).toEqual([
      { path: "a", bytes: 3, sha256: "0".repeat(64) },
      { path: "b", error: "a FIFO is not a regular file" },
      { path: "c", bytes: 5_000_000, sha256: "1".repeat(64) },
    ]);
    expect(returnedFiles(run)).toEqual([
      { path: "a", content: Buffer.from("abc") },
      { path: "c", file: "/spool/1" },
    ]);
  });
});

describe("a build", () => {
  it("has succeeded only when it exited with 0", () => {
    expect(hasSucceeded(runResult())).toBe(true);
    expect(hasSucceeded(runResult({ exitCode: 1 }))).toBe(false);
    expect(hasSucceeded(runResult({ outcome: "signaled", exitCode: null, signal: "SIGSEGV" }))).toBe(false);
    expect(hasSucceeded(runResult({ outcome: "output_limit" }))).toBe(false);
  });

  it("that failed is the result, and the program has no output, no usage and no exit code", () => {
    const build = runResult({ exitCode: 1, stderr: { content: Buffer.from("main.c:1: error"), truncated: false } });
    const result = buildFailedResult(build, circumstances);
    expect(jobResultSchema.parse(result)).toEqual(result);
    expect(result).toMatchObject({ outcome: "build_failed", exitCode: null, signal: null, stdout: { bytes: 0 } });
    expect(result.usage.cpuTimeMs).toBe(0);
    expect(result.timings).toEqual({ queuedMs: 1.5, pullMs: 2.5, prepareMs: 0, runMs: 0, collectMs: 0 });
    expect(result.build).toMatchObject({ outcome: "exited", exitCode: 1, stderr: { content: "main.c:1: error" } });
  });
});
