/**
 * Names of images as people write them: `python`, `ghcr.io/owner/name:tag`, `localhost:5000/a@sha256:…`.
 *
 * The grammar is that of the distribution project (https://pkg.go.dev/github.com/distribution/reference): what it
 * takes for a registry, the short names of Docker Hub, the default tag. Two differences, both because a name may come
 * from a stranger and decides which host we talk to: a host has to be written the way a URL parser would write it
 * (`127.1` and `0x7f.1` are refused, not understood as loopback), and a digest has to be sha256.
 *
 * Parsed by hand: `@swimlane/docker-reference` 2.0.1 backtracks exponentially (16 letters and a `!` took it 9 s).
 */
import { type Digest, isDigest } from "./digest.ts";

/** Docker Hub, which is meant wherever no registry is named. */
export const DOCKER_HUB = "docker.io";

/** A parsed name. With a digest, the tag is only a remark: the digest says which image it is. */
export interface Reference {
  /** Host, and port if one was given: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** Path of the repository: `library/python`. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

/** Longest registry and repository together, in characters (distribution's `RepositoryNameTotalLengthMax`). */
const LONGEST_NAME = 255;
/** Of a whole reference: name, tag and digest. Longer text is not even looked at. */
const LONGEST_REFERENCE = LONGEST_NAME + 1 + 128 + 1 + 71;

const COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Text that is no reference; the message says what is wrong with it. */
export class ReferenceError extends Error {
  override readonly name = "ReferenceError";

  constructor(text: string, reason: string) {
    super(`${JSON.stringify(text.slice(0, LONGEST_NAME))} is no image reference: ${reason}`);
  }
}

/**
 * Reads a reference; `latest` is the tag where neither tag nor digest is given.
 * @throws {ReferenceError}
 */
export function parseReference(text: string): Reference {
  const refuse = (reason: string) => new ReferenceError(text, reason);
  if (text === "") throw refuse("it is empty");
  if (text.length > LONGEST_REFERENCE) throw refuse("it is too long");
  if (text.includes("://")) throw refuse("write it without a protocol, as registry/name:tag");
  if (/^[0-9a-f]{64}$/.test(text)) throw refuse("64 hexadecimal digits look like an image id: put sha256: before them");

  const [nameAndTag = "", digest, ...more] = text.split("@");
  if (more.length > 0) throw refuse("it has more than one @");
  if (digest !== undefined && !isDigest(digest))
    throw refuse("a digest is sha256: and 64 lower-case hexadecimal digits");

  const { name, tag } = splitTag(nameAndTag);
  if (tag !== undefined && !TAG.test(tag))
    throw refuse("a tag is up to 128 letters, digits and _ . - and starts with none of . -");

  const { registry, repository } = splitRegistry(name);
  const fault = (registry === DOCKER_HUB ? undefined : hostFault(registry)) ?? repositoryFault(repository);
  if (fault !== undefined) throw refuse(fault);
  if (registry.length + 1 + repository.length > LONGEST_NAME)
    throw refuse(`registry and repository are longer than ${LONGEST_NAME} characters`);
  return { registry, repository, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** The one way to write a reference, and the name of a pulled image: registry, repository, and digest or else tag. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${digest === undefined ? `:${tag ?? "latest"}` : `@${digest}`}`;
}

/** Whether a name is written as that of a pulled image, and not one that was chosen here. */
export function isCanonical(text: string): boolean {
  try {
    return formatReference(parseReference(text)) === text;
  } catch (error) {
    if (error instanceof ReferenceError) return false;
    throw error;
  }
}

/**
 * The names under which an image may be stored that people call `text`, the likeliest first: this very name, as images
 * that were built or imported have it, or a digest; then the name that it has after a pull.
 */
export function namesOf(text: string): readonly string[] {
  if (isDigest(text)) return [text];
  try {
    return [...new Set([text, formatReference(parseReference(text))])];
  } catch (error) {
    if (error instanceof ReferenceError) return [text];
    throw error;
  }
}

/** A colon after the last slash is a tag's, any other one a port's. */
function splitTag(text: string): { readonly name: string; readonly tag: string | undefined } {
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  return colon === -1 ? { name: text, tag: undefined } : { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}

/** The first component is a registry if it cannot be the start of a name on Docker Hub, or is `localhost`. */
function splitRegistry(name: string): { readonly registry: string; readonly repository: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const isHost = first === "localhost" || /[.:[]/.test(first) || first !== first.toLowerCase();
  const registry = isHost ? first.toLowerCase() : DOCKER_HUB;
  const repository = isHost ? name.slice(slash + 1) : name;
  // The name that Docker Hub had once.
  if (registry !== DOCKER_HUB && registry !== "index.docker.io") return { registry, repository };
  return { registry: DOCKER_HUB, repository: repository.includes("/") ? repository : `library/${repository}` };
}

function hostFault(registry: string): string | undefined {
  const match = /^(?<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?<port>\d{1,5}))?$/.exec(registry);
  const host = match?.groups?.["host"];
  if (host === undefined) return "a registry is a host and perhaps :port, without user name or path";
  const port = match?.groups?.["port"];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return "a port is a number from 1 to 65535";
  if (!host.startsWith("[") && !host.split(".").every((label) => LABEL.test(label)))
    return "its registry is not a host name";
  // The grammar takes upper case for a host; written in lower case, as hosts are, it would be part of Docker Hub's name.
  if (port === undefined && host !== "localhost" && !/[.[]/.test(host))
    return `its registry ${host} is taken for a part of the name: write it with its port`;
  const url = URL.parse(`https://${host}`);
  return url?.hostname === host ? undefined : `its registry ${host} is not written as hosts and addresses are`;
}

function repositoryFault(repository: string): string | undefined {
  if (repository === "") return "it names no repository";
  if (repository !== repository.toLowerCase()) return "names of repositories are lower case";
  return repository.split("/").every((component) => COMPONENT.test(component))
    ? undefined
    : "a repository is lower-case letters and digits, with . _ __ or dashes between them, in parts with / between";
}
