/** Who we are to a registry. Values of these types never go into messages or logs. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** A refresh token of OAuth 2, which a token server changes for an access token. */
  | { readonly kind: "identity"; readonly token: string };

/** Where credentials are kept. */
export interface CredentialStore {
  /**
   * The credentials for one registry, and for no other.
   * @param registry host and port, as in a reference
   * @returns undefined where there are none: the registry is then asked as nobody
   */
  find(registry: string): Promise<Credentials | undefined>;
}

/** For registries that anybody may read. */
export const NO_CREDENTIALS: CredentialStore = { find: () => Promise.resolve(undefined) };

/** `Authorization: Basic` (RFC 7617, in UTF-8). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
