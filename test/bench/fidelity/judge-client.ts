/** A client that has programs judged over HTTP. */
import * as z from "zod";
import { type Job, jobSchema } from "../../../shared/job.ts";
import type { JudgeUsage } from "../../../shared/judge-result.ts";

const WAIT_SECONDS = 60;

/** Long enough for whatever is measured, and short enough to end by itself if nobody cancels it. */
const NEIGHBOUR_LIMITS = { cpuTimeMs: 120_000, wallTimeMs: 120_000 };

/** Of wall time, so that a machine that is busy otherwise ends no program before its end. */
const SUBMISSION_LIMITS = { wallTimeMs: 60_000 };

/** A submission of a problem with a single case. */
export interface Submission {
  readonly language: string;
  readonly source: string;
}

/** A job that goes on until it is disposed of. */
export interface RunningJob extends AsyncDisposable {
  readonly id: string;
}

export class JudgeClient {
  readonly #url: string;

  constructor(apiUrl: string) {
    this.#url = apiUrl;
  }

  /** What a program prints. */
  async printed({ language, source }: Submission): Promise<string> {
    const job = await this.#post({ language, source }, WAIT_SECONDS);
    if (job.kind === "run" && job.state === "done" && job.result?.exitCode === 0) return job.result.stdout.content;
    throw new Error(`the program did not do its work: ${JSON.stringify(job)}`);
  }

  /** Has a program judged. @returns what its only case used @throws {Error} when it is not accepted */
  async judge(submission: Submission, expected: string): Promise<JudgeUsage> {
    const job = await this.#post(asJob(submission, expected), WAIT_SECONDS);
    if (job.kind === "judge" && job.state === "done" && job.result?.verdict === "accepted") return job.result.usage;
    throw new Error(`the program was not accepted: ${JSON.stringify(job)}`);
  }

  /** Has a program judged that does not end by itself; comes back when a worker has begun. */
  async start(submission: Submission): Promise<RunningJob> {
    const { id } = await this.#post({ ...asJob(submission, ""), limits: NEIGHBOUR_LIMITS }, 0);
    while ((await this.#call("GET", `/v1/jobs/${id}`)).state === "queued");
    return {
      id,
      [Symbol.asyncDispose]: async () => {
        await this.#call("DELETE", `/v1/jobs/${id}`);
        const { state } = await this.#call("GET", `/v1/jobs/${id}?wait=${WAIT_SECONDS}`);
        if (state !== "canceled") throw new Error(`job ${id} was to be canceled, and is ${state}`);
      },
    };
  }

  async #post(body: object, waitSeconds: number): Promise<Job> {
    return await this.#call("POST", `/v1/jobs?wait=${waitSeconds}`, JSON.stringify(body));
  }

  async #call(method: string, path: string, body?: string): Promise<Job> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(new URL(path, this.#url), { method, headers, ...(body !== undefined && { body }) });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}: ${JSON.stringify(answer)}`);
    return z.parse(jobSchema, answer);
  }
}

function asJob(submission: Submission, expected: string): object {
  const cases = [{ name: "only", stdin: "", expected }];
  return { kind: "judge", ...submission, limits: SUBMISSION_LIMITS, cases };
}
