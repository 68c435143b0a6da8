/**
 * A client as it should be: it posts a job under a key of its own, again and again until somebody has accepted it, and
 * then waits for it, again and again until it is finished. Whatever breaks on the way, it ends up with the job.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isFinished, type Job, jobSchema } from "../../../shared/job.ts";
import type { KnownJob } from "./known-jobs.ts";

/** What a request is answered with while something is broken, with the way out to ask again. */
const TEMPORARY = [429, 503];

const PAUSE_MS = 250;

/** An API that is stopped, or whose Redis is away, answers late; one that has forgotten a request never does. */
const PATIENCE_MS = 60_000;

/** What became of requests that wait for a job. */
export interface Waits {
  asked: number;
  /** With the job, finished or not. */
  answered: number;
  /** By a connection that broke, as those of a killed API do. */
  cutOff: number;
  /** With an error that says to ask again. */
  refused: number;
  /** Not at all: the client gave up. */
  unanswered: number;
}

export class FaultClient {
  readonly waits: Waits = { asked: 0, answered: 0, cutOff: 0, refused: 0, unanswered: 0 };
  /** Answers that no fault excuses. */
  readonly complaints: string[] = [];
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** Posts a job until it is accepted. @param waitSeconds how long each answer may wait for the job to finish */
  async post({ key, request }: KnownJob, waitSeconds: number, stop: AbortSignal): Promise<Job | undefined> {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify(request),
    };
    while (!stop.aborted) {
      const answer = await this.#ask(`/v1/jobs?wait=${waitSeconds}`, waitSeconds, init);
      if (answer?.job !== undefined) return answer.job;
      await delay(PAUSE_MS);
    }
    return undefined;
  }

  /** Waits for a job. @returns undefined when there is none of this id, or it does not finish before `stop` */
  async finished(id: string, waitSeconds: number, stop: AbortSignal): Promise<Job | undefined> {
    while (!stop.aborted) {
      const answer = await this.#ask(`/v1/jobs/${id}?wait=${waitSeconds}`, waitSeconds);
      if (answer?.status === 404) return undefined;
      if (answer?.job !== undefined && isFinished(answer.job)) return answer.job;
      if (answer?.job === undefined) await delay(PAUSE_MS);
    }
    return undefined;
  }

  /** Reads a file that a job returned. @throws when it cannot be had */
  async output(id: string, path: string): Promise<Buffer> {
    const response = await fetch(`${this.#url}/v1/jobs/${id}/outputs/${path}`);
    if (response.status !== 200) throw new Error(`output ${path} of ${id}: ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async #ask(
    path: string,
    waitSeconds: number,
    init: RequestInit = {},
  ): Promise<{ readonly status: number; readonly job: Job | undefined } | undefined> {
    this.waits.asked += 1;
    const timeout = AbortSignal.timeout(waitSeconds * 1000 + PATIENCE_MS);
    try {
      const response = await fetch(`${this.#url}${path}`, { ...init, signal: timeout });
      const body = await response.text();
      if (response.ok) {
        this.waits.answered += 1;
        const { data, error } = jobSchema.safeParse(JSON.parse(body));
        if (error !== undefined) this.complaints.push(`${path} answered with no job: ${error.message}`);
        return { status: response.status, job: data ?? (JSON.parse(body) as Job) };
      }
      this.waits.refused += 1;
      if (!TEMPORARY.includes(response.status)) this.complaints.push(`${path} answered ${response.status}: ${body}`);
      return { status: response.status, job: undefined };
    } catch (error) {
      if (timeout.aborted) {
        this.waits.unanswered += 1;
        this.complaints.push(`${path} was not answered`);
      } else if (error instanceof TypeError) {
        this.waits.cutOff += 1;
      } else throw error;
      return undefined;
    }
  }
}
