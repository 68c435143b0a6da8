/**
 * The HTTP API as functions. What is refused or cannot be reached is thrown as an {@link ApiError}, whose message is
 * meant for the user as it is.
 */
import { createReadStream } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Readable } from "node:stream";
import * as z from "zod";
import type { Digest } from "../../shared/digest.ts";
import { jobSchema, type Job } from "../../shared/job.ts";
import { readEvents, type ServerSentEvent } from "./event-stream.ts";

/** Seconds of one long poll; the API takes up to 60. */
const POLL_SECONDS = 30;

/** How often, and after how long, a stream of events is asked for again that broke, or could not be had. */
const RECONNECTIONS = { count: 20, pauseMs: 500 } as const;

/** Where the API is, and the key to use it with. */
export interface ClientOptions {
  readonly url: string;
  readonly apiKey: string | undefined;
}

/** The API refused a request, or did not answer. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** Of the answer, when there was one. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** What the commands need of the API. */
export interface Client {
  /** Adds a job; `request` is the body of `POST /v1/jobs`. */
  submit(request: Readonly<Record<string, unknown>>): Promise<Job>;
  /** Adds a job that is watched from its beginning: what a part of it prints is in no result. @returns its id */
  submitWatched(request: Readonly<Record<string, unknown>>): Promise<string>;
  /** Resolves with the job when nothing will change about it any more. Aborting ends the wait, not the job. */
  finished(id: string, signal: AbortSignal): Promise<Job>;
  /** What happens in a job, behind an event or from the beginning, up to its result; a stream that breaks is resumed. */
  events(id: string, after: string | undefined, signal: AbortSignal): AsyncGenerator<ServerSentEvent, void, void>;
  /** Cancels a job, queued or running. */
  cancel(id: string): Promise<void>;
  /** Contents of a file that a job returned. */
  output(id: string, path: string): Promise<Uint8Array>;
  /** The merged report of a job of kind `shard`. */
  junitReport(id: string): Promise<Uint8Array>;
  /** Puts a file as a blob; `there`: nothing had to be sent. */
  putBlob(file: { readonly path: string; readonly digest: Digest }): Promise<"put" | "there">;
  /** The body of a GET that the schema describes. */
  get<Body>(path: string, schema: z.ZodType<Body>): Promise<Body>;
}

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.array(z.object({ path: z.string(), message: z.string() })).default([]),
  }),
});

/** Connects to nothing yet: every call is a request of its own. */
export function createClient({ url, apiKey }: ClientOptions): Client {
  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (apiKey !== undefined) headers.set("authorization", `Bearer ${apiKey}`);
    let response: Response;
    try {
      response = await fetch(new URL(path, url), { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted === true) throw error;
      throw new ApiError(`cannot reach ${url}: ${reasonOf(error)}: start it with npm start, or set LONGSHORE_URL`);
    }
    if (!response.ok) throw new ApiError(await refusalOf(response, url), response.status);
    return response;
  }

  async function get<Body>(path: string, schema: z.ZodType<Body>, init: RequestInit = {}): Promise<Body> {
    const response = await request(path, init);
    const parsed = schema.safeParse(await response.json());
    if (!parsed.success)
      throw new ApiError(`${url} does not answer as longshore does: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }

  const posted = (body: Readonly<Record<string, unknown>>): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

  return {
    get,
    submit: (body) => get("/v1/jobs", jobSchema, posted(body)),
    async submitWatched(body) {
      const { headers, body: events } = await request("/v1/jobs?stream=true", posted(body));
      // They are read like those of any job: a stream that breaks is resumed.
      await events?.cancel();
      const location = headers.get("location");
      if (location === null) throw new ApiError(`${url} does not answer as longshore does: it names no job`);
      return location.slice(location.lastIndexOf("/") + 1);
    },
    async finished(id, signal) {
      for (;;) {
        const job = await get(`/v1/jobs/${id}?wait=${POLL_SECONDS}`, jobSchema, { signal });
        if (job.finishedAt !== null) return job;
      }
    },
    async *events(id, after, signal) {
      let lastEventId = after;
      for (let failures = 0; ; failures++) {
        try {
          const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
          const { body } = await request(`/v1/jobs/${id}/events`, { headers, signal });
          if (body === null) return;
          for await (const event of readEvents(body)) {
            yield event;
            if (event.name === "result") return;
            lastEventId = event.id;
            failures = 0;
          }
          throw new ApiError(`${url} ended the events of job ${id} before its result`);
        } catch (error) {
          const mayPass = !(error instanceof ApiError) || error.status === undefined || error.status === 503;
          if (signal.aborted || !mayPass || failures === RECONNECTIONS.count) throw error;
        }
        await delay(RECONNECTIONS.pauseMs, undefined, { signal });
      }
    },
    async cancel(id) {
      await request(`/v1/jobs/${id}`, { method: "DELETE" });
    },
    async putBlob({ path, digest }) {
      try {
        await request(`/v1/blobs/${digest}`, { method: "HEAD" });
        return "there";
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
      }
      const body = Readable.toWeb(createReadStream(path)) as NonNullable<RequestInit["body"]>;
      await request(`/v1/blobs?digest=${digest}`, { method: "PUT", body, duplex: "half" });
      return "put";
    },
    async junitReport(id) {
      return (await request(`/v1/jobs/${id}/report.xml`)).bytes();
    },
    async output(id, path) {
      const encoded = path.split("/").map(encodeURIComponent).join("/");
      return (await request(`/v1/jobs/${id}/outputs/${encoded}`)).bytes();
    },
  };
}

/** What is behind fetch's `fetch failed`: the system's code where there is one. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error)) return error instanceof Error ? error.message : String(error);
  return "code" in cause && cause.code === "ECONNREFUSED" ? "connection refused" : cause.message;
}

async function refusalOf(response: Response, url: string): Promise<string> {
  const parsed = errorSchema.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) return `${url} answered ${response.status} ${response.statusText}`;
  const { message, details } = parsed.data.error;
  return [message, ...details.map((detail) => `${detail.path} ${detail.message}`)].join("\n");
}
