/** The API over HTTP: whatever comes, it has an answer of its own for it, and goes on. */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import * as fc from "fast-check";
import { createJobRequestSchema } from "../../../shared/job-request.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { type RunningApi, startApi } from "../../support/api.ts";
import { startRedis } from "../../support/redis.ts";
import { valuesOf } from "../schema-values.ts";
import { type Check, defineTarget } from "../target.ts";
import { anyValue, hostileText } from "../values.ts";

interface AnyRequest {
  /** Which of the routes, counted round and round. */
  readonly route: number;
  /** What stands in the place of each parameter: bytes. */
  readonly parameters: readonly Uint8Array[];
  readonly query: readonly (readonly [string, string])[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const parameter = fc.oneof(
  hostileText.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 20 }),
  fc.constantFrom(Buffer.from(`sha256:${"0".repeat(64)}`), Buffer.from("00000000-0000-4000-8000-000000000000")),
);
/** What Node sends at all: it refuses other characters before they leave. */
const headerText = hostileText.map((text) => text.replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, ""));

const requests: fc.Arbitrary<AnyRequest> = fc.record({
  route: fc.nat(1000),
  parameters: fc.array(parameter, { minLength: 2, maxLength: 2 }),
  query: fc.array(fc.tuple(fc.constantFrom("wait", "stream", "digest", "a[b]", "__proto__"), hostileText), {
    maxLength: 3,
  }),
  headers: fc.dictionary(
    fc.constantFrom(
      ...["idempotency-key", "last-event-id", "authorization", "content-type", "content-encoding", "accept", "range"],
      ...["x-request-id", "if-none-match", "x-forwarded-for", "cookie", "expect-ct"],
    ),
    headerText,
    { maxKeys: 3 },
  ),
  body: fc.oneof(valuesOf(createJobRequestSchema(defaultMaxima)), anyValue),
});

async function openApi(resources: AsyncDisposableStack): Promise<RunningApi> {
  const redis = await startRedis();
  resources.defer(() => redis.stop());
  return resources.use(await startApi(redis.url, { LONGSHORE_BODY_BYTES: "65536" }));
}

export const apiRequests = defineTarget<AnyRequest>({
  name: "requests to every route",
  runs: 3000,
  values: requests,
  async open(resources): Promise<Check<AnyRequest>> {
    const api = await openApi(resources);
    const { hostname, port } = new URL(api.url);
    return async ({ route: index, parameters, query, headers, body }) => {
      const route = api.api.routes[index % api.api.routes.length];
      if (route === undefined) return;
      let used = 0;
      const path = route.path.replaceAll(/\{\w+\*?\}/g, () => percentEncode(parameters[used++] ?? Buffer.alloc(0)));
      const search = query.map(([name, value]) => `${name}=${percentEncode(Buffer.from(value))}`).join("&");
      const hasBody = route.method === "post" || route.method === "put";
      const client = request({
        hostname,
        port,
        method: route.method,
        path: `${path}?${search}`,
        headers: { ...(hasBody && { "content-type": "application/json" }), ...headers, host: "localhost" },
      });
      client.end(hasBody ? (JSON.stringify(body) ?? "") : undefined);
      const [response] = (await once(client, "response")) as [IncomingMessage];
      if (response.headers["content-type"]?.startsWith("text/event-stream") === true) {
        // A job that was accepted is nobody's to run: the stream has no end.
        response.destroy();
        return;
      }
      const text = (await buffer(response)).toString();
      if (response.statusCode === 500) throw new Error(`${path}: ${text}`);
      if ((response.statusCode ?? 0) >= 400) insistOnError(route.path, text);
    };
  },
});

function insistOnError(path: string, text: string): void {
  const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } };
  if (typeof error?.code !== "string" || typeof error.message !== "string") throw new Error(`${path}: ${text}`);
}

function percentEncode(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

const rawText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          "GET /v1/jobs HTTP/1.1\r\n",
          "POST /v1/jobs HTTP/1.1\r\n",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
          "OPTIONS * HTTP/1.1\r\n",
        ],
        ...["GET http://localhost/v1/workers HTTP/1.1\r\n", "CONNECT localhost:1 HTTP/1.1\r\n", "host: localhost\r\n"],
        ...[
          "content-length: 5\r\n",
          "content-length: -1\r\n",
          "content-length: 5, 6\r\n",
          "transfer-encoding: chunked\r\n",
        ],
        ...[
          "transfer-encoding: gzip, chunked\r\n",
          "connection: upgrade\r\n",
          "upgrade: websocket\r\n",
          "expect: 100-continue\r\n",
        ],
        ...["content-type: application/json\r\n", "\r\n", "0\r\n\r\n", "5\r\n{}\r\n", "fffffffffffffffff\r\n", "{}"],
      ),
      hostileText,
    ),
    { minLength: 1, maxLength: 10 },
  )
  .map((parts) => parts.join(""));

export const rawRequests = defineTarget<string>({
  name: "bytes on a connection to the API",
  runs: 1500,
  values: rawText,
  async open(resources): Promise<Check<string>> {
    const api = await openApi(resources);
    const port = Number(new URL(api.url).port);
    return async (text) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.end(text);
      const answer = (await buffer(socket).catch(() => Buffer.alloc(0))).toString("latin1");
      if (/^HTTP\/1\.1 500|internal_error/m.test(answer)) throw new Error(answer);
      if ((await api.fetch("/healthz")).status !== 200) throw new Error("it does not answer any more");
    };
  },
});
