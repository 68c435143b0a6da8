import { NO_CREDENTIALS } from "../../../worker/images/registry/credentials.ts";
import { hostPlatform } from "../../../worker/images/registry/platform.ts";
import { DEFAULT_RETRY } from "../../../worker/images/registry/retry.ts";
import type { RegistrySettings } from "../../../worker/images/registry/settings.ts";

/** As by default, but nobody, and with pauses that a test need not wait for. */
export const settings: RegistrySettings = {
  credentials: NO_CREDENTIALS,
  platform: hostPlatform(),
  mirrors: new Map(),
  retry: { ...DEFAULT_RETRY, firstPauseMs: 1, longestPauseMs: 10 },
};
