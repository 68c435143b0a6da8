/**
 * The credentials that `docker login` leaves: `~/.docker/config.json`, or `$DOCKER_CONFIG/config.json`
 * (https://docs.docker.com/reference/cli/docker/, "Configuration files").
 *
 *   credHelpers   registry ──▶ program to ask       first
 *   credsStore    program to ask for all others     second
 *   auths         registry ──▶ base64 of user:password, or a token, in the file itself
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { askCredentialHelper } from "./credential-helper.ts";
import type { Credentials, CredentialStore } from "./credentials.ts";
import { DOCKER_HUB } from "../../../shared/image-reference.ts";
import { RegistryError } from "./registry-error.ts";

const helperName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);

const dockerConfig = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .default({}),
  credsStore: z.union([z.literal(""), helperName]).optional(),
  credHelpers: z.record(z.string(), helperName).default({}),
});
type DockerConfig = z.infer<typeof dockerConfig>;
type Auth = DockerConfig["auths"][string];

/** The name under which Docker keeps what belongs to Docker Hub. */
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";
const DOCKER_HUB_HOSTS: ReadonlySet<string> = new Set(["index.docker.io", "registry-1.docker.io", DOCKER_HUB]);

/** Where Docker's configuration is, for a process with this environment. */
export function dockerConfigPath(environment: Readonly<Record<string, string | undefined>>): string {
  return join(environment["DOCKER_CONFIG"] ?? join(environment["HOME"] ?? homedir(), ".docker"), "config.json");
}

/** Docker's configuration as a place for credentials, read anew each time: a login works at once. */
export class DockerConfigCredentials implements CredentialStore {
  readonly #path: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  /** @param environment finds the configuration, and is that of credential helpers (PATH, HOME, …) */
  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#path = dockerConfigPath(environment);
    this.#environment = environment;
  }

  /** @throws {RegistryError} when the file is malformed, or a credential helper fails */
  async find(registry: string): Promise<Credentials | undefined> {
    const config = await this.#read();
    if (config === undefined) return undefined;
    const helper = entryFor(config.credHelpers, registry) ?? (config.credsStore || undefined);
    if (helper !== undefined) {
      const server = registry === DOCKER_HUB ? DOCKER_HUB_KEY : registry;
      const found = await askCredentialHelper(helper, server, this.#environment);
      if (found !== undefined) return found;
    }
    const auth = entryFor(config.auths, registry);
    return auth && this.#credentialsOf(auth, registry);
  }

  async #read(): Promise<DockerConfig | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
        return undefined;
      throw error;
    }
    try {
      return dockerConfig.parse(JSON.parse(text));
    } catch {
      // Neither as message nor as cause: parsers quote what they read, and this file holds passwords.
      throw new RegistryError(`${this.#path} is not a configuration of docker: correct or remove it`);
    }
  }

  #credentialsOf(auth: Auth, registry: string): Credentials | undefined {
    if (auth.identitytoken !== undefined && auth.identitytoken !== "")
      return { kind: "identity", token: auth.identitytoken };
    if (auth.username !== undefined && auth.username !== "" && auth.password !== undefined)
      return { kind: "password", username: auth.username, password: auth.password };
    if (auth.auth === undefined || auth.auth === "") return undefined;
    const text = Buffer.from(auth.auth, "base64").toString();
    const colon = text.indexOf(":");
    if (colon < 1)
      throw new RegistryError(`${this.#path}: auth of ${registry} is not base64 of user:password: log in again`);
    // Some versions of Docker padded with NUL.
    return {
      kind: "password",
      username: text.slice(0, colon),
      password: text.slice(colon + 1).replace(/\0+$/, ""),
    };
  }
}

/** Keys are hosts, or, from long ago, URLs. A host with a port is another registry than without. */
function entryFor<Value>(entries: Readonly<Record<string, Value>>, registry: string): Value | undefined {
  if (Object.hasOwn(entries, registry)) return entries[registry];
  return Object.entries(entries).find(([key]) => registryOfKey(key) === registry)?.[1];
}

function registryOfKey(key: string): string {
  const host = key
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
  return DOCKER_HUB_HOSTS.has(host) ? DOCKER_HUB : host;
}
