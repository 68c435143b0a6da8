/**
 * What we say to a registry about who we are.
 *
 *   registry                        we
 *   ────────                        ──
 *   401, WWW-Authenticate ────────▶ learn: Basic, or Bearer with a token server
 *                                   Bearer: credentials ──▶ token server ──▶ token, kept until it expires
 *                         ◀──────── the same request, with Authorization
 *
 * Credentials are found by the registry's own name, and challenges are taken from the registry itself only, never
 * from where it redirects to. That a registry names a token server on another host is how the protocol works; it
 * learns nothing new by that, since the same registry could ask for the password itself.
 */
import { parseChallenges } from "./challenge.ts";
import { basicAuthorization, type Credentials, type CredentialStore } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import type { AccessToken, TokenRequest } from "./token.ts";

/** What a registry has said that it wants to see. */
type Demand =
  | { readonly scheme: "basic" }
  | { readonly scheme: "bearer"; readonly realm: URL; readonly service: string | undefined };

/** Gets a token from a token server. */
export type TokenSource = (request: TokenRequest) => Promise<AccessToken>;

/** One per registry and pull or push: it remembers what the registry wants, and the tokens that it takes. */
export class Authorizer {
  readonly #endpoint: Endpoint;
  readonly #store: CredentialStore;
  readonly #requestToken: TokenSource;
  readonly #tokens = new Map<string, Promise<AccessToken>>();
  #demand: Demand | undefined;
  #credentials: Promise<Credentials | undefined> | undefined;

  constructor(endpoint: Endpoint, store: CredentialStore, requestToken: TokenSource) {
    this.#endpoint = endpoint;
    this.#store = store;
    this.#requestToken = requestToken;
  }

  /** The header `Authorization` for what needs `scopes`; undefined while the registry has not asked for one. */
  async authorization(scopes: readonly string[]): Promise<string | undefined> {
    const demand = this.#demand;
    if (demand === undefined) return undefined;
    switch (demand.scheme) {
      case "basic": {
        const credentials = await this.#findCredentials();
        if (credentials?.kind !== "password") return undefined;
        return basicAuthorization(credentials.username, credentials.password);
      }
      case "bearer":
        return `Bearer ${(await this.#token(demand, scopes)).token}`;
      default:
        return demand satisfies never;
    }
  }

  /**
   * Learns from a 401.
   * @param header `WWW-Authenticate` of the answer
   * @param rejected the header `Authorization` that got this answer
   * @returns another `Authorization` to try; undefined when there is none
   */
  async answer(header: string, scopes: readonly string[], rejected: string | undefined): Promise<string | undefined> {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.has("realm"));
    if (bearer !== undefined) {
      const realm = this.#endpoint.follow(bearer.parameters.get("realm") ?? "", "token server");
      this.#demand = { scheme: "bearer", realm, service: bearer.parameters.get("service") };
      // Unless another request has replaced the token meanwhile.
      if (rejected !== undefined && rejected === (await this.authorization(scopes))) this.#tokens.delete(keyOf(scopes));
    } else if (challenges.some(({ scheme }) => scheme === "basic")) {
      this.#demand = { scheme: "basic" };
    } else {
      return undefined;
    }
    const authorization = await this.authorization(scopes);
    return authorization === rejected ? undefined : authorization;
  }

  /** Requests that run at the same time share one token. */
  async #token(demand: Demand & { scheme: "bearer" }, scopes: readonly string[]): Promise<AccessToken> {
    const key = keyOf(scopes);
    for (let known = this.#tokens.get(key); known !== undefined; known = this.#tokens.get(key)) {
      const token = await known;
      if (token.expiresAt > Date.now()) return token;
      if (this.#tokens.get(key) === known) this.#tokens.delete(key);
    }
    const requested = this.#findCredentials().then((credentials) =>
      this.#requestToken({ realm: demand.realm, service: demand.service, scopes, credentials }),
    );
    this.#tokens.set(key, requested);
    // A failure is told to whoever waits for it, and not remembered.
    requested.catch(() => this.#tokens.delete(key));
    return requested;
  }

  /** Asked once: a credential helper may be slow, or ask a person. */
  #findCredentials(): Promise<Credentials | undefined> {
    return (this.#credentials ??= this.#store.find(this.#endpoint.registry));
  }
}

function keyOf(scopes: readonly string[]): string {
  return scopes.join(" ");
}
