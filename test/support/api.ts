/** An API of this process on a port of its own, and a client for it. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi, type Api } from "../../services/api/api.ts";
import type { ApiOptions } from "../../services/api/context.ts";
import { loadConfig } from "../../shared/config.ts";
import type { Job } from "../../shared/job.ts";
import { JobStore } from "../../shared/job-store.ts";
import { createLogger } from "../../shared/log.ts";
import { loadPresets, SHIPPED_IMAGES } from "../../shared/presets.ts";
import { untilReady } from "./jobs.ts";

/** The smallest body of a job. */
export const program = { image: "python", command: ["python3", "main.py"] };

export interface PostOptions {
  /** `?wait=` in seconds. */
  readonly wait?: number | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface RunningApi extends AsyncDisposable {
  readonly api: Api;
  readonly url: string;
  /** What a worker would work with; connected with the API. */
  readonly store: JobStore;
  /** Sends a request; the path begins with a slash. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Posts a body as JSON. */
  post(body: unknown, options?: PostOptions): Promise<Response>;
  /** Posts a job that is accepted. */
  accept(body?: unknown): Promise<Job>;
}

/** Starts an API on a Redis that is up; `environment` is what an operator would set beyond it, `options` what nobody can. */
export async function startApi(
  redisUrl: string,
  environment: Readonly<Record<string, string>> = {},
  options: Pick<ApiOptions, "readerPatienceMs"> = {},
): Promise<RunningApi> {
  // No test's blobs are to be found among this machine's.
  const data = await mkdtemp(join(tmpdir(), "longshore-api-"));
  const config = loadConfig({ REDIS_URL: redisUrl, LONGSHORE_DATA: data, ...environment });
  const presets = loadPresets(SHIPPED_IMAGES);
  const api = createApi({ config, logger: createLogger("api", "silent"), presets, ...options });
  await untilReady(api.redis);
  const server = createServer(api.app);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
  const url = `http://127.0.0.1:${address.port}`;

  const post: RunningApi["post"] = async (body, { wait, headers = {}, signal } = {}) =>
    await fetch(`${url}/v1/jobs${wait === undefined ? "" : `?wait=${wait}`}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: signal ?? null,
    });

  return {
    api,
    url,
    store: new JobStore({ redis: api.redis, queue: config.queue, resultTtlSeconds: config.resultTtlSeconds }),
    fetch: async (path, init) => await fetch(`${url}${path}`, init),
    post,
    async accept(body = program) {
      const response = await post(body);
      if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
      return (await response.json()) as Job;
    },
    async [Symbol.asyncDispose]() {
      await api.close();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      // An upload that was cut off may be at its file still.
      await rm(data, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}
