/**
 * Who may use an API's storage besides its clients: the other processes of the installation.
 *
 * They know each other by a secret in Redis, which whoever can read it could also take jobs with. It never leaves
 * Redis's clients: a request carries a keyed hash of its method, its blob and a time, and is good for nothing else.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Redis } from "ioredis";
import type { Digest } from "../digest.ts";
import { createKeys } from "../keys.ts";
import { withRedis } from "../redis.ts";

export type StorageMethod = "GET" | "HEAD" | "PUT";

/** For how long a signature counts, from when it was made; a download may begin a while after. */
const VALID_SECONDS = 300;

export class StorageAccess {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, queue: string) {
    this.#redis = redis;
    this.#key = createKeys(queue).blobSecret;
  }

  /** The authorization header of a request. */
  async authorize(method: StorageMethod, digest: Digest): Promise<string> {
    const { secret, seconds } = await this.#read();
    const expires = seconds + VALID_SECONDS;
    return `Longshore ${expires}.${sign(secret, method, digest, expires)}`;
  }

  /** Whether a request comes from one of us, and now. */
  async isAuthorized(header: string | undefined, method: string, digest: Digest): Promise<boolean> {
    const [, expires = "", signature = ""] = /^Longshore (\d{1,12})\.([0-9a-f]{64})$/.exec(header ?? "") ?? [];
    if (signature === "") return false;
    const { secret, seconds } = await this.#read();
    const left = Number(expires) - seconds;
    const expected = sign(secret, method, digest, Number(expires));
    return left > 0 && left <= VALID_SECONDS && timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
  }

  /** The secret, made by whoever needs it first; and the time on the one clock that all machines share. */
  async #read(): Promise<{ readonly secret: string; readonly seconds: number }> {
    return await withRedis(async () => {
      await this.#redis.set(this.#key, randomBytes(32).toString("base64"), "NX");
      const [secret, [seconds]] = await Promise.all([this.#redis.get(this.#key), this.#redis.time()]);
      if (secret === null) throw new Error(`${this.#key} was removed from redis`);
      return { secret, seconds: Number(seconds) };
    });
  }
}

function sign(secret: string, method: string, digest: Digest, expires: number): string {
  return createHmac("sha256", secret).update(`${method} ${digest} ${expires}`).digest("hex");
}
