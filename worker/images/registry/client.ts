/**
 * A registry, spoken to by the OCI distribution specification (v1.1): authorised, retried, redirected with care.
 *
 * `Authorization` goes to the registry's own origin only. A redirect, usually to a blob store that carries a
 * signature in its URL, is followed without it, and it does not come back on a way back to the registry either.
 */
import type { Dispatcher } from "undici";
import { Authorizer } from "./authorizer.ts";
import { openConnections, type Resolve } from "./connections.ts";
import type { CredentialStore } from "./credentials.ts";
import { Endpoint, type NamedHosts } from "./endpoint.ts";
import { type HttpAnswer, type HttpRequest, send } from "./http.ts";
import { errorOfAnswer, RegistryError } from "./registry-error.ts";
import { DEFAULT_RETRY, type OnRetry, Patience, retrying, type RetryPolicy } from "./retry.ts";
import { requestToken } from "./token.ts";

export interface ClientOptions extends NamedHosts {
  readonly credentials: CredentialStore;
  /** How names become addresses; as on this machine unless stated. */
  readonly resolve?: Resolve;
  readonly retry?: RetryPolicy;
  /** Silence after which a connection counts as broken, in milliseconds; 30 s unless stated. */
  readonly stallMs?: number;
  readonly onRetry?: OnRetry | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A request to a registry: what for, in messages, and with which rights. */
export interface RegistryRequest extends Pick<HttpRequest, "method" | "url" | "headers" | "body"> {
  /** What is asked for, e.g. `blob sha256:… of localhost:5000/a`. */
  readonly what: string;
  /** e.g. `repository:library/python:pull`. */
  readonly scopes: readonly string[];
}

const MOST_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What is read of an answer that is an error, in bytes. */
const LONGEST_ERROR = 64 * 1024;

export class RegistryClient {
  readonly endpoint: Endpoint;
  readonly signal: AbortSignal | undefined;
  readonly #authorizer: Authorizer;
  readonly #retry: RetryPolicy;
  readonly #onRetry: OnRetry | undefined;
  readonly #stallMs: number;
  readonly #connections: Dispatcher;

  /** @param registry as in a reference, e.g. `docker.io` */
  constructor(registry: string, options: ClientOptions) {
    this.endpoint = new Endpoint(registry, options);
    this.#connections = openConnections(this.endpoint, options.resolve);
    this.signal = options.signal;
    this.#retry = options.retry ?? DEFAULT_RETRY;
    this.#onRetry = options.onRetry;
    this.#stallMs = options.stallMs ?? 30_000;
    this.#authorizer = new Authorizer(this.endpoint, options.credentials, (request) =>
      requestToken(request, this.#transport),
    );
  }

  get #transport(): Pick<HttpRequest, "signal" | "stallMs" | "connections"> {
    return { signal: this.signal, stallMs: this.#stallMs, connections: this.#connections };
  }

  /** Patience with this registry, for one piece of work. */
  patience(): Patience {
    return new Patience(this.#retry, this.#onRetry, this.signal);
  }

  /** Asks until there is one of the expected answers, whose body `read` takes, or patience ends. */
  async ask<Value>(
    request: RegistryRequest,
    expected: readonly number[],
    read: (answer: HttpAnswer) => Promise<Value>,
  ): Promise<Value> {
    return retrying(this.patience(), async () => {
      using answer = await this.request(request, expected);
      return await read(answer);
    });
  }

  /**
   * Asks once.
   * @returns an answer with one of the `expected` statuses, its body unread
   * @throws {RegistryError} for any other answer
   */
  async request(request: RegistryRequest, expected: readonly number[]): Promise<HttpAnswer> {
    const answer = await this.#send(request);
    if (expected.includes(answer.status)) return answer;
    using failed = answer;
    const body = await failed.bytes(LONGEST_ERROR).catch(() => Buffer.alloc(0));
    throw errorOfAnswer(request.what, failed.status, failed.headers, body.toString());
  }

  async #send({ what, scopes, ...request }: RegistryRequest): Promise<HttpAnswer> {
    let { url } = request;
    let isOwn = url.origin === this.endpoint.origin;
    let mayLearn = true;
    let authorization = await this.#authorizer.authorization(scopes);
    for (let redirects = 0; ;) {
      const sent = isOwn ? authorization : undefined;
      const answer = await send({
        ...request,
        url,
        headers: { ...request.headers, ...(sent !== undefined && { authorization: sent }) },
        ...this.#transport,
      });
      if (answer.status === 401 && isOwn && mayLearn) {
        mayLearn = false;
        const offered = await this.#authorizer.answer(answer.headers.get("www-authenticate") ?? "", scopes, sent);
        if (offered === undefined) return answer;
        await answer.drain();
        authorization = offered;
        continue;
      }
      const location = answer.headers.get("location");
      const isRead = request.method === "GET" || request.method === "HEAD";
      if (!isRead || !REDIRECTS.has(answer.status) || location === null) return answer;
      await answer.drain();
      redirects += 1;
      if (redirects > MOST_REDIRECTS) throw new RegistryError(`${what}: redirected more than ${MOST_REDIRECTS} times`);
      url = this.endpoint.follow(location, "redirect", url);
      isOwn &&= url.origin === this.endpoint.origin;
    }
  }
}
