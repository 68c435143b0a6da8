/**
 * Orders to workers: pull an image, remove an image.
 *
 *   API ──▶ record { order, worker: pending, … } ◀── answers ── workers
 *     └───▶ mailbox of each worker: ids of orders ─────take─────▶
 *
 * The API has no images; whoever has them acts. An order goes to the workers that are alive when it is given, and each
 * does it once. Who is told by a message may miss it, so a worker looks into its mailbox whenever it (re)connects
 * (`JobSignals`). Both actions can be repeated without harm, which is what a client does that wants to be sure.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import * as z from "zod";
import { jobErrorSchema } from "./job.ts";
import { createKeys, type Keys } from "./keys.ts";
import { withRedis } from "./redis.ts";

/** For how long an order and its answers are kept after the last of them; a pull may take a quarter of an hour. */
const ORDER_TTL_SECONDS = 3600;

const orderSchema = z.strictObject({
  action: z.enum(["pull", "remove"]),
  reference: z.string().meta({ description: "the image's whole name, or a digest" }),
});

/** What workers are to do. A removal names exactly what is removed; short names are the API's to understand. */
export type ImageOrder = z.infer<typeof orderSchema>;

const answerSchema = z.discriminatedUnion("state", [
  z.strictObject({
    state: z.literal("done"),
    digest: z.string().nullable().meta({ description: "of the image; null where there was none to remove" }),
  }),
  z.strictObject({ state: z.literal("failed"), error: jobErrorSchema }),
]);

/** What became of an order on one worker. */
export type ImageAnswer = z.infer<typeof answerSchema>;

const pendingSchema = z.strictObject({ state: z.literal("pending") });

/** An order as a worker takes it. */
export interface TakenOrder extends ImageOrder {
  readonly id: string;
}

export class ImageOrders {
  readonly #redis: Redis;
  readonly #keys: Keys;

  constructor(redis: Redis, queue: string) {
    this.#redis = redis;
    this.#keys = createKeys(queue);
  }

  /** Channel of the ids of workers that have an order in their mailbox. */
  get mailChannel(): string {
    return this.#keys.imageMailChannel;
  }

  /** Channel of the ids of orders that a worker has answered. */
  get answerChannel(): string {
    return this.#keys.imageAnswerChannel;
  }

  /** Gives an order to workers. @returns its id */
  async give(order: ImageOrder, workers: readonly string[]): Promise<string> {
    const id = randomUUID();
    const record = this.#keys.imageOrder(id);
    const giving = this.#redis.multi().hset(record, "order", JSON.stringify(order)).expire(record, ORDER_TTL_SECONDS);
    for (const worker of workers) {
      const mailbox = this.#keys.imageMailbox(worker);
      giving.hset(record, fieldOf(worker), JSON.stringify({ state: "pending" }));
      giving.rpush(mailbox, id).expire(mailbox, ORDER_TTL_SECONDS).publish(this.mailChannel, worker);
    }
    await withRedis(() => giving.exec());
    return id;
  }

  /** What became of an order, by worker; empty when it has expired. */
  async answers(id: string): Promise<ReadonlyMap<string, ImageAnswer | { readonly state: "pending" }>> {
    const record = await withRedis(() => this.#redis.hgetall(this.#keys.imageOrder(id)));
    const entries = Object.entries(record).filter(([field]) => field.startsWith(WORKER));
    return new Map(
      entries.map(([field, text]) => [
        field.slice(WORKER.length),
        z.union([answerSchema, pendingSchema]).parse(JSON.parse(text)),
      ]),
    );
  }

  /**
   * Takes orders out of a worker's mailbox, the oldest first. One is taken when the next is asked for: who fails in
   * between finds it there again.
   * @param most how many; at least 1
   * @param known whether an order is taken already
   */
  async *take(worker: string, most: number, known: (id: string) => boolean): AsyncGenerator<TakenOrder, void> {
    const mailbox = this.#keys.imageMailbox(worker);
    for (const id of await withRedis(() => this.#redis.lrange(mailbox, 0, most - 1))) {
      const text = known(id) ? null : await withRedis(() => this.#redis.hget(this.#keys.imageOrder(id), "order"));
      if (text !== null) yield { id, ...orderSchema.parse(JSON.parse(text)) };
      await withRedis(() => this.#redis.lrem(mailbox, 0, id));
    }
  }

  /** Says what became of an order. */
  async answer(id: string, worker: string, answer: ImageAnswer): Promise<void> {
    const record = this.#keys.imageOrder(id);
    await withRedis(() =>
      this.#redis
        .multi()
        .hset(record, fieldOf(worker), JSON.stringify(answer))
        .expire(record, ORDER_TTL_SECONDS)
        .publish(this.answerChannel, id)
        .exec(),
    );
  }
}

/** Before the id of a worker in a record, which tells it from the record's own field. */
const WORKER = "worker:";

function fieldOf(worker: string): string {
  return `${WORKER}${worker}`;
}
