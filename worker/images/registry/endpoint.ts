/**
 * Which URL a registry has, and where it may send us.
 *
 * References may come from strangers, and registries answer with URLs (redirects, places for uploads, token
 * servers). None of them may make this machine talk to what only it can reach, or talk in the clear:
 *
 *   - HTTPS everywhere; plain HTTP only to registries on loopback, or named in LONGSHORE_INSECURE_REGISTRIES
 *   - a registry is where it is, at a private address too; it sends us to public addresses, and to hosts that the
 *     operator has named, here or in LONGSHORE_PRIVATE_HOSTS
 *   - one on loopback or named as insecure is the operator's own, and may send us to private addresses; only one on
 *     loopback may send us to loopback, and none to link-local addresses, where clouds tell machines their secrets
 *
 * A URL shows the host only. By which address that is reached is seen when it is connected to (`connections.ts`).
 */
import ipaddr from "ipaddr.js";
import { isLoopback } from "../../../shared/config.ts";
import { DOCKER_HUB } from "../../../shared/image-reference.ts";
import { RegistryError, withoutSecrets } from "./registry-error.ts";

/** Where Docker Hub's API is: under another name than its images. */
const DOCKER_HUB_HOST = "registry-1.docker.io";

/** Hosts that the operator has named. */
export interface NamedHosts {
  /** Registries, as written in references, that are reached by plain HTTP, besides those on loopback. */
  readonly insecureRegistries?: readonly string[];
  /** Hosts at private addresses to which registries may send us, as `host:port`, or `host` for all of its ports. */
  readonly privateHosts?: readonly string[];
}

/** A registry as we reach it. */
export class Endpoint {
  /** Name of the registry in references; its credentials are kept under it. */
  readonly registry: string;
  /** Protocol, host and port. */
  readonly origin: string;
  readonly #named: NamedHosts;

  constructor(registry: string, named: NamedHosts = {}) {
    this.registry = registry;
    this.#named = named;
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

  /**
   * Judges a connection.
   * @param url what is connected to, for the sake of this registry
   * @param address to which its host resolves, or which it is
   * @returns why it must not be made; undefined when it may
   */
  refuse(url: URL, address: string): RegistryError | undefined {
    const { insecureRegistries = [], privateHosts = [] } = this.#named;
    const isNamed = [...insecureRegistries, ...privateHosts].includes(url.host) || privateHosts.includes(url.hostname);
    if (url.origin === this.origin || isNamed || this.#mayLeadTo(address)) return undefined;
    // Not by which address: that is for those to know who can ask our name server.
    return new RegistryError(
      `registry ${this.registry}: it leads to ${url.host}, which is at no public address: name that in ` +
        "LONGSHORE_PRIVATE_HOSTS if it is meant",
    );
  }

  #mayLeadTo(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const own = new URL(this.origin);
    // An IPv4 address that is written as one of IPv6 is the former.
    switch (ipaddr.process(address).range()) {
      case "unicast":
        return true;
      case "loopback":
      case "unspecified":
        return isLoopbackUrl(own);
      case "private":
      case "uniqueLocal":
      case "carrierGradeNat":
        return this.#mayBePlain(own);
      default:
        return false;
    }
  }

  #mayBePlain(url: URL): boolean {
    return isLoopbackUrl(url) || this.#named.insecureRegistries?.includes(url.host) === true;
  }
}

/** URLs have IPv6 addresses in brackets, and IPv4 addresses always in the usual form. */
function isLoopbackUrl({ hostname }: URL): boolean {
  return isLoopback(hostname.replace(/^\[(.*)\]$/, "$1")) || hostname.endsWith(".localhost");
}
