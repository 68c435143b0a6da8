/** A worker's part of orders about images (`shared/image-orders.ts`): takes them, does them, says what came of it. */
import { parseReference } from "../shared/image-reference.ts";
import type { ImageAnswer, ImageOrders, TakenOrder } from "../shared/image-orders.ts";
import type { JobSignals } from "../shared/job-signals.ts";
import type { Logger } from "../shared/log.ts";
import { type Digest, isDigest } from "./images/digest.ts";
import { collectGarbage, untagImage } from "./images/garbage.ts";
import { explainPullFailure } from "./images/registry/pull-failure.ts";
import type { ImagePuller } from "./images/registry/puller.ts";
import type { ImageStore } from "./images/store.ts";
import { insist } from "./insist.ts";

/** Orders that are done at once; the others wait in the mailbox. */
const AT_ONCE = 4;

export interface OrderTakerOptions {
  /** Id of the worker. */
  readonly worker: string;
  readonly orders: ImageOrders;
  /** Of the channel that tells of mail. */
  readonly mail: JobSignals;
  readonly images: ImageStore;
  readonly puller: ImagePuller;
  /** Tells everyone which images are here now: before an order is answered, so that who has the answer finds them. */
  readonly announce: () => Promise<void>;
  readonly logger: Logger;
}

/** Does orders until it is disposed of; those under way are then given up, without an answer. */
export class OrderTaker implements AsyncDisposable {
  readonly #options: OrderTakerOptions;
  readonly #stop = new AbortController();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #watch: Disposable;
  #looking: Promise<void> = Promise.resolve();
  /** Something was removed, and what it consisted of is still here. */
  #hasGarbage = false;

  constructor(options: OrderTakerOptions) {
    this.#options = options;
    this.#watch = options.mail.watch(options.worker, () => this.#look());
    this.#look();
  }

  /** Removes what removed images left, unless somebody adds content right now: then at the next call. */
  async collectGarbage(): Promise<void> {
    if (this.#hasGarbage && (await collectGarbage(this.#options.images)) !== undefined) this.#hasGarbage = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.#stop.abort();
    await this.#looking;
    await Promise.all(this.#underWay.values());
  }

  /** One look at a time, so that no order is taken twice. */
  #look(): void {
    this.#looking = this.#looking.then(() => this.#takeOrders());
  }

  async #takeOrders(): Promise<void> {
    const { orders, worker, logger } = this.#options;
    const most = AT_ONCE - this.#underWay.size;
    if (most <= 0 || this.#stop.signal.aborted) return;
    try {
      for await (const order of orders.take(worker, most, (id) => this.#underWay.has(id))) this.#begin(order);
    } catch (error) {
      // When the connection is back, there is another look.
      logger.warn({ err: error }, "orders about images cannot be read");
    }
  }

  #begin(order: TakenOrder): void {
    const done = this.#do(order).finally(() => {
      this.#underWay.delete(order.id);
      this.#look();
    });
    this.#underWay.set(order.id, done);
  }

  async #do(order: TakenOrder): Promise<void> {
    const { orders, worker, announce, logger } = this.#options;
    const { id, action, reference } = order;
    const answer = await this.#perform(order);
    if (this.#stop.signal.aborted) return;
    logger.info({ action, reference, ...answer }, "an order about an image is done");
    const report = (message: string) => (error: unknown) => logger.warn({ err: error, action, reference }, message);
    await insist(announce).catch(report("what is here could not be announced"));
    await insist(() => orders.answer(id, worker, answer)).catch(report("an order could not be answered"));
  }

  async #perform({ action, reference }: TakenOrder): Promise<ImageAnswer> {
    const { puller } = this.#options;
    try {
      switch (action) {
        case "pull":
          return { state: "done", digest: (await puller.pull(parseReference(reference), this.#stop.signal)).digest };
        case "remove":
          return { state: "done", digest: (await this.#remove(reference)) ?? null };
        default:
          return action satisfies never;
      }
    } catch (error) {
      const { code, message } = explainPullFailure(error);
      return { state: "failed", error: { code, message } };
    }
  }

  /** @returns the digest of the image that a name was taken from, also of one that is damaged */
  async #remove(reference: string): Promise<Digest | undefined> {
    const { images, logger } = this.#options;
    const digest = isDigest(reference) ? reference : await images.references.get(reference);
    const names = await untagImage(images, reference);
    if (names.length === 0) return undefined;
    this.#hasGarbage = true;
    await this.collectGarbage().catch((error: unknown) => logger.warn({ err: error }, "garbage cannot be collected"));
    return digest;
  }
}
