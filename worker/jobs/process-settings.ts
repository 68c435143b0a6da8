/**
 * What an image says about the processes that run from it (image-spec v1.1, "config").
 *
 * An image comes from anywhere: what it asks for is honoured where a container has it, and refused by name where not.
 */
import { posix } from "node:path";
import { describeAbsolutePathFault } from "../../shared/paths/faults.ts";
import { requestBounds } from "../../shared/job-request-rules.ts";
import type { ImageConfig } from "../images/oci.ts";
import type { StoredImage } from "../images/store.ts";
import { TreeError } from "../images/tree/file-tree.ts";
import { LayeredTree } from "../images/tree/layered-tree.ts";
import { resolveUser, type User } from "../images/tree/users.ts";

/**
 * Who runs a program of an image that names nobody: the ids that the project's own images give their user. The
 * specification leaves it to us; Docker takes root, which code of strangers has no use for.
 */
const UNPRIVILEGED = "1000:1000";

/** Where a job works in an image that does not say: the directory that the project's own images have for it. */
const WORKING_DIRECTORY = "/work";

/** An image cannot be used; the message says why. */
export class UnusableImageError extends Error {
  override readonly name = "UnusableImageError";
}

/** Who an image's processes run as, by configuration: what a digest names never changes, and neither does this. */
const users = new WeakMap<ImageConfig, User | UnusableImageError>();

/**
 * The user of an image, as its own /etc/passwd and /etc/group have it: names are looked up there, and nowhere else.
 * @throws {UnusableImageError} for a name that is not there, and for ids that a container does not have
 */
export function userOf({ config, lowerDirs }: Pick<StoredImage, "config" | "lowerDirs">): User {
  const user = users.get(config) ?? findUser(config, lowerDirs);
  users.set(config, user);
  if (user instanceof UnusableImageError) throw user;
  return user;
}

function findUser({ config }: ImageConfig, lowerDirs: readonly string[]): User | UnusableImageError {
  const text = config.User ?? "";
  using tree = new LayeredTree(lowerDirs);
  try {
    return resolveUser(tree, text === "" ? UNPRIVILEGED : text);
  } catch (error) {
    if (!(error instanceof TreeError)) throw error;
    return new UnusableImageError(`its user is ${JSON.stringify(text)}: ${error.message}`);
  }
}

/**
 * The variables of a process: HOME as /etc/passwd has it, over it `config.Env`, over that those of a request. An entry
 * without `=` is no variable, and takes away one of its name, as Docker reads it; one without a name is refused, as
 * there.
 * @throws {UnusableImageError} when an entry has no name, or they are larger than a process can take
 */
export function environmentOf(
  { config }: ImageConfig,
  home: string,
  requested: Readonly<Record<string, string>>,
): Record<string, string> {
  const variables = new Map<string, string>();
  for (const entry of config.Env ?? []) {
    const equals = entry.indexOf("=");
    if (equals === 0) throw new UnusableImageError(`its Env has ${JSON.stringify(entry)}, which names no variable`);
    if (equals < 0) variables.delete(entry);
    else variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  const own: Record<string, string> = { HOME: home, ...Object.fromEntries(variables) };
  insistOnWords(
    "Env",
    Object.entries(own).map(([name, value]) => `${name}=${value}`),
  );
  if (Buffer.byteLength(own["PATH"] ?? "") > requestBounds.searchPathBytes)
    throw new UnusableImageError(`its PATH is longer than ${requestBounds.searchPathBytes} bytes`);
  return { ...own, ...requested };
}

/**
 * What runs when a request names no command: Entrypoint and Cmd, or Entrypoint and the request's arguments, as in
 * `docker run IMAGE argument…`.
 * @throws {UnusableImageError} when that is nothing
 */
export function commandOf({ config }: ImageConfig, requested: readonly string[]): readonly [string, ...string[]] {
  const [entrypoint, defaults] = [config.Entrypoint ?? [], config.Cmd ?? []];
  insistOnWords("Entrypoint and Cmd", [...entrypoint, ...defaults]);
  const [program = "", ...words] = [...entrypoint, ...(requested.length > 0 ? requested : defaults)];
  if (program === "") throw new UnusableImageError("it has neither Entrypoint nor Cmd: give the job a command");
  return [program, ...words];
}

/**
 * Where a job works that does not say. An image's `/` counts as nothing said: it is what BuildKit writes for none, and
 * only root could work there.
 * @throws {UnusableImageError} when the image's is no absolute path
 */
export function workingDirectoryOf({ config }: ImageConfig): string {
  const stated = config.WorkingDir ?? "";
  const path = posix.normalize(stated === "" ? "/" : stated).replace(/(?<=.)\/$/, "");
  const fault = describeAbsolutePathFault(path);
  if (fault !== undefined) throw new UnusableImageError(`its WorkingDir ${fault}`);
  return path === "/" ? WORKING_DIRECTORY : path;
}

/** Checks what execve(2) is going to take, as requests are checked. */
function insistOnWords(what: string, words: readonly string[]): void {
  const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1 + 8, 0);
  if (bytes > requestBounds.argumentBytes)
    throw new UnusableImageError(`its ${what} are larger than ${requestBounds.argumentBytes} bytes`);
  if (words.some((word) => word.includes("\0"))) throw new UnusableImageError(`its ${what} have a NUL`);
}
