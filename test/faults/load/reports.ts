import { Redis } from "ioredis";
import { createKeys } from "../../../shared/keys.ts";

/** Counts how often each job is reported as finished, to everybody who listens. */
export class ReportCounter implements Disposable {
  readonly #redis: Redis;
  readonly #counts = new Map<string, number>();

  /** Listens from now on, whenever Redis is there. */
  constructor(redisUrl: string) {
    this.#redis = new Redis(redisUrl, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.#redis.on("error", () => undefined);
    // Subscribed again by itself after an outage.
    void this.#redis.subscribe(createKeys("longshore").finishedChannel);
    this.#redis.on("message", (_, message: string) => {
      // What became of it is said behind its id.
      const [id = ""] = message.split(" ", 1);
      this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    });
  }

  /** Reports of a job that were heard: fewer than there were while Redis was away, never more. */
  of(id: string): number {
    return this.#counts.get(id) ?? 0;
  }

  [Symbol.dispose](): void {
    this.#redis.disconnect();
  }
}
