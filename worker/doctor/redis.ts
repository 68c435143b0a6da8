import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkRedis as checkServer, connectRedis, RedisUnfitError } from "../../shared/redis.ts";
import { type Finding, missing, ok } from "./finding.ts";

/** Where to look for Redis. */
export interface RedisPlace {
  readonly dataDirectory: string;
  /** REDIS_URL, when it is set. */
  readonly url: string | undefined;
}

/** Redis answers and loses nothing on purpose. */
export async function checkRedis(place: RedisPlace): Promise<Finding> {
  const url = place.url ?? ownRedisUrl(place.dataDirectory);
  if (url === undefined) return ok("redis", "none is named by REDIS_URL: npm start runs its own");
  // Without its password.
  const { host } = new URL(url);
  let lastError: Error | undefined;
  const redis = connectRedis(url, "producer", (error) => (lastError = error));
  try {
    await new Promise((resolve, reject) => redis.once("ready", resolve).once("error", reject));
    await checkServer(redis);
    return ok("redis", `${host}, fit to hold jobs`);
  } catch (error) {
    if (error instanceof RedisUnfitError)
      return missing("redis", `${host}: ${error.message}`, "change it on the server");
    if (place.url === undefined) return ok("redis", "none is named by REDIS_URL: npm start runs its own");
    const reason = (lastError ?? error) instanceof Error ? (lastError ?? (error as Error)).message : String(error);
    return missing("redis", `${host} cannot be reached: ${reason}`, "start it, or correct REDIS_URL");
  } finally {
    redis.disconnect();
  }
}

/** The Redis that `npm start` last ran in this data directory wrote its address there. */
function ownRedisUrl(dataDirectory: string): string | undefined {
  try {
    return readFileSync(join(dataDirectory, "redis/url"), "utf8").trim();
  } catch {
    return undefined;
  }
}
