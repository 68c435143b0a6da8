/** What registries, and the networks before them, answer instead of what was asked for. */
import * as z from "zod";

/** A registry did not do what was asked; trying again would change nothing. */
export class RegistryError extends Error {
  override readonly name: string = "RegistryError";
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options);
    this.status = options.status;
  }
}

/** No connection to a registry can be made, and will not in a moment: no such host, a certificate that does not fit. */
export class UnreachableError extends RegistryError {
  override readonly name: string = "UnreachableError";
}

/** It may work in a moment: a broken connection, 429, a server's own trouble. */
export class TransientError extends RegistryError {
  override readonly name: string = "TransientError";
  /** How long the server asks us to stay away, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly status?: number; readonly retryAfterMs?: number }) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Body of an error by the distribution specification, "Error Codes". */
const errorBody = z.object({
  errors: z.array(z.object({ code: z.string().default(""), message: z.string().default("") })).min(1),
});

/** Longest piece of a registry's own words in a message, in characters. */
const LONGEST_QUOTE = 200;

/**
 * A registry's words, fit for a terminal and a log: what could move a cursor or start a line is taken out.
 */
export function quote(text: string): string {
  // \p{C}: control, format and unassigned characters.
  return text
    .replaceAll(/\p{C}+/gu, " ")
    .trim()
    .slice(0, LONGEST_QUOTE);
}

/** What an error's body says, in the form `message (CODE)`; undefined when it is not in the specified form. */
export function explainBody(body: string): string | undefined {
  try {
    const [first] = errorBody.parse(JSON.parse(body)).errors;
    if (first === undefined) return undefined;
    return quote(`${first.message}${first.code === "" ? "" : ` (${first.code})`}`) || undefined;
  } catch {
    return undefined;
  }
}

/** URL for people: without its query, which holds the signatures of blob stores, and without user name. */
export function withoutSecrets(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** Statuses after which the same request may succeed. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/**
 * The error that an answer amounts to.
 * @param what what was asked for, as in `manifest of localhost:5000/a:1`
 */
export function errorOfAnswer(what: string, status: number, headers: Headers, body: string): RegistryError {
  const words = explainBody(body);
  const message = `${what}: ${adviceOf(status) ?? `answered ${status}`}${words === undefined ? "" : `: ${words}`}`;
  if (!TRANSIENT.has(status)) return new RegistryError(message, { status });
  const retryAfterMs = readRetryAfter(headers.get("retry-after"), Date.now());
  return new TransientError(message, { status, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

function adviceOf(status: number): string | undefined {
  switch (status) {
    case 401:
      return "the registry wants other credentials: log in with docker login, or see auths in ~/.docker/config.json";
    case 403:
      return "the registry does not allow it to these credentials";
    case 404:
      return "not found (some registries say so of what needs a login)";
    case 429:
      return "the registry limits how much may be asked of it";
    default:
      return undefined;
  }
}

/**
 * Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
 * @param now milliseconds since the epoch
 */
export function readRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  // `Date.parse` alone would make a date of nearly anything, -1.5 included.
  const date = /^[A-Z][a-z]+, .+ GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
