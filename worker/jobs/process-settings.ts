/** What an image says about the processes that run from it. */
import type { ImageConfig } from "../images/oci.ts";
import type { ContainerSpec } from "../container/spec.ts";

type User = ContainerSpec["user"];

/** Who runs a program of an image that names nobody: the same ids that the project's own images give their user. */
const UNPRIVILEGED: User = { uid: 1000, gid: 1000 };

/** Highest id of a container: its user namespace maps 65,536 of them. */
const LAST_ID = 65_535;

/** An image cannot be used; the message says why. */
export class UnusableImageError extends Error {
  override readonly name = "UnusableImageError";
}

/**
 * The user of `config.User`: empty, `uid`, or `uid:gid`. A user without a group is in the group of the same number.
 * @throws {UnusableImageError} for names, which only the image's own files could translate, and for ids out of range
 */
export function userOf({ config }: ImageConfig): User {
  const text = config.User ?? "";
  if (text === "") return UNPRIVILEGED;
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  const uid = Number(match?.[1]);
  const gid = Number(match?.[2] ?? match?.[1]);
  if (uid <= LAST_ID && gid <= LAST_ID) return { uid, gid };
  throw new UnusableImageError(
    `its user is ${JSON.stringify(text)}: use numbers from 0 to ${LAST_ID}, as in 1000:1000`,
  );
}

/** The variables of `config.Env`, with those of a request over them. */
export function environmentOf(
  { config }: ImageConfig,
  requested: Readonly<Record<string, string>>,
): Record<string, string> {
  const entries = (config.Env ?? []).map((entry) => {
    const equals = entry.indexOf("=");
    return equals < 0 ? ([entry, ""] as const) : ([entry.slice(0, equals), entry.slice(equals + 1)] as const);
  });
  return { ...Object.fromEntries(entries), ...requested };
}
