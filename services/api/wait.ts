/** `?wait=SECONDS`: the answer comes when the job is finished, or when the time is up. */
import type { Response } from "express";
import * as z from "zod";
import { LongshoreError } from "../../shared/errors.ts";
import { isFinished, type Job } from "../../shared/job.ts";
import { issuesToDetails } from "../../shared/validation.ts";
import { type JobEnd, waitForJob } from "../../shared/wait-for-job.ts";
import type { ApiContext } from "./context.ts";

/** Longest wait in seconds; proxies tend to give a request up after a minute. */
export const MAX_WAIT_SECONDS = 60;

const secondsSchema = z
  .string()
  .regex(/^\d{1,2}(\.\d{1,3})?$/, {
    error: `is not a number of seconds from 0 to ${MAX_WAIT_SECONDS}`,
    abort: true,
  })
  .refine((text) => Number(text) <= MAX_WAIT_SECONDS, { error: `is more than ${MAX_WAIT_SECONDS} seconds` })
  .meta({ description: "seconds to wait for the job to finish, 0 to 60; decimals are allowed", examples: ["10"] });

/** The query of routes that can wait. */
export const waitQuerySchema = z.strictObject({ wait: secondsSchema.optional() });

/** The query of posts: how a client wants to learn what comes of its job. */
export const answerQuerySchema = waitQuerySchema
  .extend({
    stream: z
      .literal("true", { error: "is not true" })
      .optional()
      .meta({ description: "answer with what happens in the job, as server-sent events" }),
  })
  .refine(({ wait, stream }) => wait === undefined || stream === undefined, {
    path: ["stream"],
    error: "cannot be given together with wait",
  });

/** What {@link answerQuerySchema} asks for. Throws `invalid_request`. */
export function parseAnswer(
  query: unknown,
): { readonly kind: "stream" } | { readonly kind: "job"; readonly seconds: number | undefined } {
  const parsed = answerQuerySchema.safeParse(query);
  if (!parsed.success) throw new LongshoreError("invalid_request", { details: issuesToDetails(parsed.error.issues) });
  const { wait, stream } = parsed.data;
  if (stream !== undefined) return { kind: "stream" };
  return { kind: "job", seconds: wait === undefined ? undefined : Number(wait) };
}

/** Seconds to wait, or nothing when the client did not ask. Throws `invalid_request`. */
export function parseWait(query: unknown): number | undefined {
  const parsed = waitQuerySchema.safeParse(query);
  if (!parsed.success) throw new LongshoreError("invalid_request", { details: issuesToDetails(parsed.error.issues) });
  return parsed.data.wait === undefined ? undefined : Number(parsed.data.wait);
}

/**
 * Waits for a job until it is finished, the time is up, the client has gone or the API is about to stop; resolves
 * with the job as it is then.
 * @param end of this job or another one; of this one, it has been listened for since before the job was accepted
 */
export async function waitUntilAnswer(
  context: ApiContext,
  response: Response,
  job: Job,
  seconds: number | undefined,
  end?: JobEnd,
): Promise<Job> {
  const { store, finished } = context;
  if (seconds === undefined || seconds === 0 || isFinished(job)) return job;
  return await untilAnswerIsDue(context, response, seconds, (due) =>
    end?.id === job.id ? end.wait(store, job, due) : waitForJob(store, finished, job, due),
  );
}

/**
 * Waits with a signal that aborts when an answer is due: when the time is up, the client has gone or the API is about to
 * stop.
 * @param seconds to wait; undefined or 0: the signal has aborted at once
 */
export async function untilAnswerIsDue<Value>(
  context: ApiContext,
  response: Response,
  seconds: number | undefined,
  wait: (due: AbortSignal) => Promise<Value>,
): Promise<Value> {
  if (seconds === undefined || seconds === 0) return await wait(AbortSignal.abort());
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  const timer = setTimeout(stop, seconds * 1000);
  response.once("close", stop);
  context.closing.addEventListener("abort", stop, { once: true });
  if (context.closing.aborted) stop();
  try {
    return await wait(controller.signal);
  } finally {
    clearTimeout(timer);
    response.off("close", stop);
    context.closing.removeEventListener("abort", stop);
  }
}
