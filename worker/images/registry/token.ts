/**
 * Access tokens of a registry's token server
 * (https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/).
 */
import * as z from "zod";
import { basicAuthorization, type Credentials } from "./credentials.ts";
import { type HttpRequest, send } from "./http.ts";
import { errorOfAnswer, RegistryError } from "./registry-error.ts";

/** The right to do something at a registry for some time. Never goes into messages or logs. */
export interface AccessToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What a token is asked for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  /** e.g. `repository:library/python:pull`. */
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
}

// Printable only: `Headers` quotes what it cannot take in its message.
const tokenText = z.string().regex(/^[\x21-\x7e]+$/);
const tokenAnswer = z
  .object({ token: tokenText.optional(), access_token: tokenText.optional(), expires_in: z.number().optional() })
  .transform(({ token, access_token, expires_in }, context) => {
    // The specification allows either name.
    const either = token ?? access_token;
    if (either !== undefined) return { token: either, seconds: expires_in };
    context.addIssue({ code: "custom", message: "there is no token" });
    return z.NEVER;
  });

/** Lifetime of a token whose server states none, and least lifetime to assume (specification), in seconds. */
const LEAST_LIFETIME = 60;
/** A token counts as expired so much earlier, for clocks and for the time that requests take; milliseconds. */
const MARGIN_MS = 10_000;
const LONGEST_ANSWER = 256 * 1024;

/**
 * Asks a token server, once.
 * @throws {RegistryError} when it refuses, or answers something else than a token
 */
export async function requestToken(
  { realm, service, scopes, credentials }: TokenRequest,
  options: Pick<HttpRequest, "signal" | "stallMs" | "connections">,
): Promise<AccessToken> {
  const askedAt = Date.now();
  using answer = await send({ ...options, ...formRequest(realm, service, scopes, credentials) });
  const what = `token server ${realm.host}`;
  const body = (await answer.bytes(LONGEST_ANSWER)).toString();
  if (answer.status !== 200) throw errorOfAnswer(what, answer.status, answer.headers, body);
  try {
    const { token, seconds } = tokenAnswer.parse(JSON.parse(body));
    return { token, expiresAt: askedAt + Math.max(seconds ?? 0, LEAST_LIFETIME) * 1000 - MARGIN_MS };
  } catch {
    // Parsers quote what they read, and this may be a secret.
    throw new RegistryError(`${what}: answered something else than a token`);
  }
}

function formRequest(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Credentials | undefined,
): Pick<HttpRequest, "method" | "url" | "headers" | "body"> {
  if (credentials?.kind === "identity") {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "longshore",
      refresh_token: credentials.token,
      scope: scopes.join(" "),
      ...(service !== undefined && { service }),
    });
    return {
      method: "POST",
      url: realm,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new TextEncoder().encode(form.toString()),
    };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (credentials === undefined) return { method: "GET", url };
  url.searchParams.set("account", credentials.username);
  return {
    method: "GET",
    url,
    headers: { authorization: basicAuthorization(credentials.username, credentials.password) },
  };
}
