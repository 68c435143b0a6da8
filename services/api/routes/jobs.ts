/** `/v1/jobs`: posts, shows and cancels jobs. */
import { randomUUID } from "node:crypto";
import type { Request, Response } from "express";
import * as z from "zod";
import { LongshoreError } from "../../../shared/errors.ts";
import { isFinished, jobIdSchema, jobSchema, type Job } from "../../../shared/job.ts";
import { blobsOf, type CheckedRequest, parseJobRequest } from "../../../shared/job-request.ts";
import type { AcceptOptions, Idempotency } from "../../../shared/job-store.ts";
import { resolveRequest } from "../../../shared/presets.ts";
import { cancelJob } from "../../../shared/submit.ts";
import { traceStage } from "../../../shared/trace.ts";
import { checkVolumes } from "../../../shared/volumes.ts";
import { JobEnd } from "../../../shared/wait-for-job.ts";
import { clientOf } from "../authenticate.ts";
import { holderOf } from "../holder.ts";
import type { ApiContext } from "../context.ts";
import { BEGINNING } from "../events/position.ts";
import { sendEvents } from "../events/send-events.ts";
import { jsonContent } from "../openapi-document.ts";
import { createJsonReader } from "../read-json.ts";
import { parameterOf, type Route } from "../route.ts";
import { answerQuerySchema, parseAnswer, parseWait, waitQuerySchema, waitUntilAnswer } from "../wait.ts";
import { eventsContent } from "./events.ts";

const idParameters = z.object({ id: jobIdSchema });

/** Printable ASCII, as a header can carry it, bounded so that it can be hashed without a thought. */
const idempotencyKeySchema = z.string().regex(/^[\x21-\x7e]{1,255}$/);

/** Nearly full of results, which go when their time has come. */
const FULL = "redis is nearly full of results: retry later";
const FULL_SECONDS = 10;

const location = z.string().meta({ description: "path of the job" });

const jobContent = jsonContent(jobSchema);

export function jobRoutes(context: ApiContext): Route[] {
  return [postJob(context), getJob(context), deleteJob(context)];
}

function postJob(context: ApiContext): Route {
  const { config, finished, store, room, submitter, metrics, presets, requestSchema } = context;
  const readJson = createJsonReader(config.bodyBytes);

  /** @param as what the job shall be called, if it is a new one, and who is told what happens in it */
  async function accept(
    request: Request,
    response: Response,
    as: Pick<AcceptOptions, "id" | "audience">,
  ): Promise<Job> {
    traceStage("routed");
    const body = await readJson(request, response);
    traceStage("read");
    const checked = parseJobRequest(requestSchema, body);
    const idempotency = readIdempotency(request, checked);
    // What was accepted once is answered for, whatever it needed that has gone since.
    if (idempotency === undefined || !(await store.isRepetition(idempotency))) {
      if (room.isShort) throw new LongshoreError("queue_full", { message: FULL, retryAfterSeconds: FULL_SECONDS });
      if (checked.kind === "run") checkVolumes(checked.volumes, config.volumes);
      await insistOnBlobs(context, request, checked);
    }
    const resolved = resolveRequest(checked, presets, config.maxima);
    traceStage("validated");
    // What is remembered of a suite is its client's.
    const owned = resolved.kind === "shard" ? { ...resolved, owner: holderOf(request, config).name } : resolved;
    const { status, job } = await submitter.submit(owned, { ...as, idempotency });
    if (status === "accepted") metrics.countAccepted();
    else response.set("idempotency-replayed", "true");
    return job;
  }

  return {
    method: "post",
    path: "/v1/jobs",
    operation: {
      summary: "Post a job",
      description:
        "Queues a job. With wait, the answer comes when the job is finished or the time is up; with stream, it is what " +
        "happens in the job, as GET /v1/jobs/{id}/events has it, where a stream that was cut goes on.",
      operationId: "postJob",
      tags: ["jobs"],
      requestParams: {
        query: answerQuerySchema,
        header: z.object({ "idempotency-key": idempotencyKeySchema.optional() }),
      },
      requestBody: { required: true, content: { "application/json": { schema: requestSchema } } },
      responses: {
        "200": {
          description: "the job is finished; with stream, it is accepted, and these are its events",
          headers: z.object({ location }),
          content: { ...jobContent, ...eventsContent },
        },
        "202": { description: "the job is accepted", headers: z.object({ location }), content: jobContent },
      },
    },
    errors: [
      "invalid_request",
      "invalid_json",
      "blob_not_found",
      "idempotency_conflict",
      "body_too_large",
      "unsupported_media_type",
      "queue_full",
      "redis_unavailable",
    ],
    async handle(request, response) {
      const id = randomUUID();
      // Before it is accepted: so nobody has to look whether it has ended already.
      using end = new JobEnd(finished, id);
      let answer: ReturnType<typeof parseAnswer>;
      let job: Job;
      try {
        answer = parseAnswer(request.query);
        const audience = answer.kind === "stream" ? "watching" : undefined;
        job = await accept(request, response, { id, audience });
      } catch (error) {
        if (error instanceof LongshoreError) metrics.countRejected(error.code);
        throw error;
      }
      response.location(`/v1/jobs/${job.id}`);
      if (answer.kind === "stream") return await sendEvents(context, response, { id: job.id, from: BEGINNING });
      sendJob(context, response, await waitUntilAnswer(context, response, job, answer.seconds, end), "accepted");
    },
  };
}

function getJob(context: ApiContext): Route {
  return {
    method: "get",
    path: "/v1/jobs/{id}",
    operation: {
      summary: "Show a job",
      description: "With wait, the answer comes when the job is finished or the time is up.",
      operationId: "getJob",
      tags: ["jobs"],
      requestParams: { path: idParameters, query: waitQuerySchema },
      responses: {
        "200": { description: "the job", content: jobContent },
        "202": { description: "with wait: the time is up and the job is not finished", content: jobContent },
      },
    },
    errors: ["invalid_request", "job_not_found", "redis_unavailable"],
    async handle(request, response) {
      const seconds = parseWait(request.query);
      const job = await context.store.get(readId(request));
      if (job === undefined) throw new LongshoreError("job_not_found");
      const latest = await waitUntilAnswer(context, response, job, seconds);
      sendJob(context, response, latest, seconds === undefined ? "shown" : "accepted");
    },
  };
}

function deleteJob(context: ApiContext): Route {
  return {
    method: "delete",
    path: "/v1/jobs/{id}",
    operation: {
      summary: "Cancel a job",
      description: "A queued job is canceled at once, a running one as soon as its worker has ended it.",
      operationId: "cancelJob",
      tags: ["jobs"],
      requestParams: { path: idParameters },
      responses: {
        "200": { description: "the job is finished: canceled by this request, or before it", content: jobContent },
        "202": { description: "the worker that runs the job has been told", content: jobContent },
      },
    },
    errors: ["job_not_found", "redis_unavailable"],
    async handle(request, response) {
      sendJob(context, response, await cancelJob(context.store, context.queue, readId(request)), "accepted");
    },
  };
}

/** `accepted`: an unfinished job is answered with 202, since something is still to come. */
function sendJob(context: ApiContext, response: Response, job: Job, meaning: "accepted" | "shown"): void {
  // The client has gone while it waited.
  if (response.destroyed) return;
  if (context.closing.aborted) response.set("connection", "close");
  response.status(meaning === "shown" || isFinished(job) ? 200 : 202);
  // Not `json`, which asks its settings, and looks up and parses the type and its charset, for each answer.
  const text = JSON.stringify(job);
  response.setHeader("content-type", "application/json; charset=utf-8");
  // Node finds it out by itself, but not for HEAD.
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
  traceStage("answered");
}

/** Throws `job_not_found` for what is no id at all: no job has it. */
function readId(request: Request): string {
  const parsed = jobIdSchema.safeParse(parameterOf(request, "id"));
  if (!parsed.success) throw new LongshoreError("job_not_found");
  return parsed.data.toLowerCase();
}

/** A job's blobs have to be its client's; their time to live begins anew. Throws `blob_not_found`, naming the fields. */
async function insistOnBlobs(context: ApiContext, request: Request, checked: CheckedRequest): Promise<void> {
  const blobs = blobsOf(checked);
  if (blobs.length === 0) return;
  const digests = blobs.map(({ blob }) => blob);
  const held = await context.blobs.touch(digests, holderOf(request, context.config));
  const details = blobs.flatMap(({ path }, index) =>
    held[index] === true ? [] : [{ path, message: "is no blob of yours, or has expired: put it again" }],
  );
  if (details.length > 0) throw new LongshoreError("blob_not_found", { details });
}

function readIdempotency(request: Request, body: unknown): Idempotency | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  const parsed = idempotencyKeySchema.safeParse(key);
  if (!parsed.success) {
    const details = [{ path: "idempotency-key", message: "is not 1 to 255 printable characters of ASCII" }];
    throw new LongshoreError("invalid_request", { details });
  }
  return { key: parsed.data, owner: clientOf(request), body };
}
