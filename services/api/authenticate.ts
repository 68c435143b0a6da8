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
  const known = hashes.map((hash) => Buffer.from(hash, "hex"));
  return (request, response, next) => {
    const presented = hashOfKey(request);
    const matches = presented === undefined ? [] : known.filter((hash) => timingSafeEqual(hash, presented));
    if (presented === undefined || matches.length === 0) {
      response.set("www-authenticate", 'Bearer realm="longshore"');
      throw new LongshoreError("unauthorized");
    }
    next();
  };
}

/**
 * Requires one of the administrators' keys. Without any keys whoever is on this machine may do everything; with keys
 * and none of administrators, nobody may do what is theirs.
 */
export function requireAdministrator({ apiKeys, adminKeys }: Pick<Config, "apiKeys" | "adminKeys">): RequestHandler {
  const known = adminKeys.map((hash) => Buffer.from(hash, "hex"));
  return (request, _response, next) => {
    const presented = hashOfKey(request);
    const matches = presented === undefined ? [] : known.filter((hash) => timingSafeEqual(hash, presented));
    if (apiKeys.length > 0 && matches.length === 0) throw new LongshoreError("forbidden");
    next();
  };
}

/**
 * Without keys only this machine reaches the API, and on it any web page that a browser has open: a name of the
 * attacker's that resolves to 127.0.0.1 makes the page same-origin (DNS rebinding). Such a request names that
 * host, and is refused.
 */
export function requireLocalHost(): RequestHandler {
  return (request, _response, next) => {
    const url = `http://${request.headers.host ?? ""}`;
    const hostname = URL.canParse(url) ? new URL(url).hostname.replaceAll(/^\[|\]$/g, "") : "";
    if (!isLoopback(hostname)) throw new LongshoreError("forbidden_host");
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
