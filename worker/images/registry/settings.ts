/** How this installation gets on with registries. */
import type { Config } from "../../../shared/config.ts";
import type { ClientOptions } from "./client.ts";
import { DockerConfigCredentials } from "./docker-config.ts";
import { hostPlatform, type Platform } from "./platform.ts";

export interface RegistrySettings extends Pick<
  ClientOptions,
  "credentials" | "insecureRegistries" | "privateHosts" | "resolve" | "retry" | "stallMs"
> {
  readonly platform: Platform;
  /** By registry: where its images are looked for before the registry itself, in this order. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
}

/**
 * Settings by configuration, with the credentials that `docker login` has left for this user.
 * @param environment names the home directory, and is that of credential helpers
 */
export function registrySettings(
  { platform, insecureRegistries, privateHosts, registryMirrors }: Config,
  environment: Readonly<Record<string, string | undefined>>,
): RegistrySettings {
  return {
    credentials: new DockerConfigCredentials(environment),
    insecureRegistries,
    privateHosts,
    platform: platform ?? hostPlatform(),
    mirrors: registryMirrors,
  };
}
