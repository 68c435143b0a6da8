/**
 * One HTTP request on `fetch`, without any following of redirects, and with two things that `fetch` lacks: a
 * watchdog for connections that stall, and bounds on what is read.
 */
import { type Dispatcher, fetch, type Headers, type Response } from "undici";
import { version } from "../../../shared/version.ts";
import { RegistryError, TransientError, UnreachableError, withoutSecrets } from "./registry-error.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly signal?: AbortSignal | undefined;
  /** Silence after which the connection counts as broken, in milliseconds. */
  readonly stallMs: number;
  /** What makes connections, and refuses those that must not be. */
  readonly connections: Dispatcher;
}

/** Slowest upload that is not a stall: a body's bytes may take this long to be sent. */
const SLOWEST_UPLOAD_BYTES_PER_MS = 64;
/** What is read of an answer nobody wants, to keep its connection for the next request; bytes. */
const WORTH_DRAINING = 64 * 1024;

/** Errors of the connection that may not come again; names of Node and undici. All others are final. */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "ETIMEDOUT",
  "EPIPE",
  "EAI_AGAIN",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);

/** An answer whose body has not been read yet. Disposing of it ends the connection unless the body was read. */
export class HttpAnswer implements Disposable {
  readonly status: number;
  readonly headers: Headers;
  readonly #request: HttpRequest;
  readonly #body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #connection: AbortController;

  constructor(request: HttpRequest, response: Response, connection: AbortController) {
    this.status = response.status;
    this.headers = response.headers;
    this.#request = request;
    this.#body = response.body?.getReader();
    this.#connection = connection;
  }

  /**
   * The body as it comes.
   * @throws {TransientError} when the connection breaks or stalls
   */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const body = this.#body;
    if (body === undefined) return;
    for (;;) {
      const { done, value } = await guarded(this.#request, this.#connection, this.#request.stallMs, () => body.read());
      if (done) return;
      yield value;
    }
  }

  /**
   * The whole body.
   * @param limit in bytes
   * @throws {RegistryError} when it is longer
   */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.chunks()) {
      length += chunk.length;
      if (length > limit)
        throw new RegistryError(`${describe(this.#request)}: the answer is longer than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  /** Reads a short body to its end; of a long one, gives the connection up. */
  async drain(): Promise<void> {
    await this.bytes(WORTH_DRAINING).catch(() => this[Symbol.dispose]());
  }

  [Symbol.dispose](): void {
    this.#connection.abort();
  }
}

/**
 * Sends a request, and returns the answer as soon as its headers are there, whatever its status.
 * @throws {TransientError} when the connection fails in a way that may pass
 * @throws {UnreachableError} when it fails for good: no such host, a certificate that does not fit
 */
export async function send(request: HttpRequest): Promise<HttpAnswer> {
  const connection = new AbortController();
  const { method, url, headers, body, signal, stallMs, connections } = request;
  const patienceMs = stallMs + (body?.length ?? 0) / SLOWEST_UPLOAD_BYTES_PER_MS;
  const response = await guarded(request, connection, patienceMs, () =>
    fetch(url, {
      method,
      // Compressed in transit, an answer would have another size and other ranges than the content it stands for.
      headers: { "user-agent": `longshore/${version}`, "accept-encoding": "identity", ...headers },
      redirect: "manual",
      dispatcher: connections,
      signal: signal === undefined ? connection.signal : AbortSignal.any([signal, connection.signal]),
      ...(body && { body }),
    }),
  );
  return new HttpAnswer(request, response, connection);
}

/** Waits for `operation`, but not for a connection that stays silent, and says what became of it in our words. */
async function guarded<Value>(
  request: HttpRequest,
  connection: AbortController,
  patienceMs: number,
  operation: () => Promise<Value>,
): Promise<Value> {
  const stalled = () =>
    connection.abort(
      new TransientError(`${describe(request)}: nothing came for ${Math.round(patienceMs / 1000)} s`, {}),
    );
  const watchdog = setTimeout(stalled, patienceMs);
  try {
    return await operation();
  } catch (error) {
    request.signal?.throwIfAborted();
    throw error instanceof RegistryError ? error : connectionError(request, error);
  } finally {
    clearTimeout(watchdog);
  }
}

/** `fetch` rejects with a TypeError; the reason is its cause, sometimes one level further down, and may be our own. */
function connectionError(request: HttpRequest, error: unknown): RegistryError {
  let message = String(error);
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    if (reason instanceof RegistryError) return reason;
    const code = "code" in reason && typeof reason.code === "string" ? reason.code : undefined;
    message = `${describe(request)}: ${reason.message === "" ? (code ?? reason.name) : reason.message}`;
    if (code !== undefined && TRANSIENT_CODES.has(code)) return new TransientError(message, { cause: error });
  }
  return new UnreachableError(message, { cause: error });
}

function describe({ method, url }: HttpRequest): string {
  return `${method} ${withoutSecrets(url)}`;
}
