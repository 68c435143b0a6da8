/** A proxy before a registry that sees each request, and does to it what a test wants. */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** A request that came by. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the answer's body that were passed on. */
  answered: number;
  /** Bytes of the request's body that were passed on. */
  sent: number;
}

export interface Forwarding {
  /** Breaks the connection after so many bytes of the answer's body. */
  readonly cutAnswerAfter?: number;
  /** Breaks it after so many bytes of the request's body have reached the registry. */
  readonly cutRequestAfter?: number;
  /** Leaves out this header of the request. */
  readonly without?: string;
}

export type Intercept = (
  request: IncomingMessage,
  response: ServerResponse,
  forward: (how?: Forwarding) => void,
) => void;

export interface Proxy extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  readonly seen: Seen[];
  /** What happens to the next requests; forwards them unless stated. */
  intercept: Intercept;
  /** Those of `seen` with this method whose URL matches. */
  requests(method: string, pattern: RegExp): Seen[];
}

export async function startProxy(target: string): Promise<Proxy> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const record: Seen = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      answered: 0,
      sent: 0,
    };
    seen.push(record);
    proxy.intercept(request, response, (how = {}) => forward(target, request, response, record, how));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: Proxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    intercept: (_request, _response, forward) => forward(),
    requests: (method, pattern) => seen.filter((one) => one.method === method && pattern.test(one.url)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

function forward(target: string, request: IncomingMessage, response: ServerResponse, record: Seen, how: Forwarding) {
  const headers = { ...request.headers };
  if (how.without !== undefined) delete headers[how.without];
  const [hostname, port] = target.split(":");
  // With the proxy's own Host: the registry's URLs then lead through it again.
  const onward = httpRequest({ hostname, port, method: request.method, path: request.url, headers });
  onward.on("error", () => response.destroy());
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.on("data", (chunk: Buffer) => {
      const most = (how.cutAnswerAfter ?? Number.POSITIVE_INFINITY) - record.answered;
      record.answered += Math.min(chunk.length, most);
      if (chunk.length < most) {
        response.write(chunk);
      } else {
        // Destroyed only when the bytes before have left.
        response.write(chunk.subarray(0, most), () => response.destroy());
        answer.destroy();
      }
    });
    answer.on("end", () => response.end());
  });
  request.on("data", (chunk: Buffer) => {
    const most = (how.cutRequestAfter ?? Number.POSITIVE_INFINITY) - record.sent;
    record.sent += Math.min(chunk.length, most);
    if (chunk.length < most) {
      onward.write(chunk);
    } else {
      request.removeAllListeners("data");
      onward.write(chunk.subarray(0, most), () => {
        onward.destroy();
        response.destroy();
      });
    }
  });
  request.on("end", () => onward.end());
}
