/** Requests per second of one client, counted in Redis: it holds over all API processes together. */
import type { RequestHandler } from "express";
import type { Redis } from "ioredis";
import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { LongshoreError } from "../../shared/errors.ts";
import { createKeys } from "../../shared/keys.ts";
import { withRedis } from "../../shared/redis.ts";
import { clientOf } from "./authenticate.ts";

/** Refuses with `rate_limited` and a time to wait what a client asks beyond `requestsPerSecond`. */
export function limitRate(redis: Redis, queue: string, requestsPerSecond: number): RequestHandler {
  const limiter = new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `${createKeys(queue).prefix}:rate`,
    points: requestsPerSecond,
    duration: 1,
  });
  return async (request, _response, next) => {
    await withRedis(async () => {
      try {
        await limiter.consume(clientOf(request));
      } catch (reason) {
        if (!(reason instanceof RateLimiterRes)) throw reason;
        const retryAfterSeconds = Math.max(1, Math.ceil(reason.msBeforeNext / 1000));
        throw new LongshoreError("rate_limited", { retryAfterSeconds });
      }
    });
    next();
  };
}
