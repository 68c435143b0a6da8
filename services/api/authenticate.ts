/** Who may use the API: holders of a key, or, without keys, whoever is on this machine. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler } from "express";
import { type Config, isLoopback } from "../../shared/config.ts";
import { LongshoreError } from "../../shared/errors.ts";

/**
 * Requires `Authorization: Bearer KEY` with a key whose SHA-256 hash is known. Every hash is compared, in a time
 * that does not depend on how much of it is right.
 */
export function requireKey(hashes: readonly string[]): RequestHandler {
  return (request, response, next) => {
    if (!isAmong(hashes, hashOfKey(request))) {
      response.set("www-authenticate", 'Bearer realm="longshore"');
      throw new LongshoreError("unauthorized");
    }
    next();
  };
}

/** The keys that there are, by their hashes. */
type Keys = Pick<Config, "apiKeys" | "adminKeys">;

/** Requires an administrator. */
export function requireAdministrator(keys: Keys): RequestHandler {
  return (request, _response, next) => {
    if (!isAdministrator(request, keys)) throw new LongshoreError("forbidden");
    next();
  };
}

/**
 * Whether a request has one of the administrators' keys. Without any keys whoever is on this machine may do everything;
 * with keys and none of administrators, nobody may do what is theirs.
 */
export function isAdministrator(request: Request, { apiKeys, adminKeys }: Keys): boolean {
  return apiKeys.length === 0 || isAmong(adminKeys, hashOfKey(request));
}

function isAmong(hashes: readonly string[], presented: Buffer | undefined): boolean {
  if (presented === undefined) return false;
  return hashes.filter((hash) => timingSafeEqual(Buffer.from(hash, "hex"), presented)).length > 0;
}

/**
 * Without keys only this machine reaches the API, and on it any web page that a browser has open: a name of the
 * attacker's that resolves to 127.0.0.1 makes the page same-origin (DNS rebinding). Such a request names that
 * host, and is refused.
 */
export function requireLocalHost(): RequestHandler {
  // Nearly every request names the host that the one before it named; to parse that is a tenth of all middleware.
  let admitted: string | undefined;
  return (request, _response, next) => {
    const { host = "" } = request.headers;
    if (host !== admitted) {
      const hostname = URL.parse(`http://${host}`)?.hostname.replaceAll(/^\[|\]$/g, "");
      if (!isLoopback(hostname ?? "")) throw new LongshoreError("forbidden_host");
      admitted = host;
    }
    next();
  };
}

/** Tells clients apart, without holding what they authenticate with: by the hash of the key, or by address. */
export function clientOf(request: Request): string {
  return hashOfKey(request)?.toString("hex") ?? request.socket.remoteAddress ?? "unknown";
}

function hashOfKey(request: Request): Buffer | undefined {
  const [, key] = /^Bearer +([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? "") ?? [];
  return key === undefined ? undefined : createHash("sha256").update(key).digest();
}
