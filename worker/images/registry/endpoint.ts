/**
 * Which URL a registry has, and where it may send us.
 *
 * References may come from strangers, and registries answer with URLs (redirects, places for uploads, token
 * servers). None of them may make this machine talk to what only it can reach, or talk in the clear:
 *
 *   - HTTPS everywhere; plain HTTP only to registries on loopback, or named in LONGSHORE_INSECURE_REGISTRIES
 *   - only a registry that is on loopback itself may send us to loopback
 */
import { isLoopback } from "../../../shared/config.ts";
import { DOCKER_HUB } from "../../../shared/image-reference.ts";
import { RegistryError, withoutSecrets } from "./registry-error.ts";

/** Where Docker Hub's API is: under another name than its images. */
const DOCKER_HUB_HOST = "registry-1.docker.io";

/** A registry as we reach it. */
export class Endpoint {
  /** Name of the registry in references; its credentials are kept under it. */
  readonly registry: string;
  /** Protocol, host and port. */
  readonly origin: string;
  readonly #insecureRegistries: readonly string[];

  /** @param insecureRegistries registries, as written in references, that are reached by plain HTTP */
  constructor(registry: string, insecureRegistries: readonly string[]) {
    this.registry = registry;
    this.#insecureRegistries = insecureRegistries;
    const host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
    this.origin = new URL(`${this.#mayBePlain(new URL(`http://${host}`)) ? "http" : "https"}://${host}`).origin;
  }

  /** A URL of the distribution API, e.g. of `/v2/library/python/tags/list`. */
  url(path: `/v2/${string}`): URL {
    return new URL(path, this.origin);
  }

  /**
   * Reads a URL that the registry answered.
   * @param purpose what it stands for, in messages, e.g. `redirect`
   * @param base what it may be relative to
   * @throws {RegistryError} when it is none, or we must not go there
   */
  follow(text: string, purpose: string, base: URL = new URL(this.origin)): URL {
    const url = URL.parse(text, base.href);
    if (url === null) throw new RegistryError(`registry ${this.registry}: its ${purpose} is not a URL`);
    const refuse = (reason: string) =>
      new RegistryError(`registry ${this.registry}: its ${purpose} to ${withoutSecrets(url)} is refused: ${reason}`);
    if (url.username !== "" || url.password !== "") throw refuse("it holds a user name or password");
    if (url.origin === this.origin) return url;
    if (url.protocol !== "https:" && url.protocol !== "http:") throw refuse("it is neither https nor http");
    if (isLoopbackUrl(url) && !isLoopbackUrl(new URL(this.origin))) throw refuse("it leads to this machine");
    if (url.protocol === "http:" && !this.#mayBePlain(url))
      throw refuse(`it is not https: name ${url.host} in LONGSHORE_INSECURE_REGISTRIES if that is meant`);
    return url;
  }

  #mayBePlain(url: URL): boolean {
    return isLoopbackUrl(url) || this.#insecureRegistries.includes(url.host);
  }
}

/** URLs have IPv6 addresses in brackets, and IPv4 addresses always in the usual form. */
function isLoopbackUrl({ hostname }: URL): boolean {
  return isLoopback(hostname.replace(/^\[(.*)\]$/, "$1")) || hostname.endsWith(".localhost");
}
