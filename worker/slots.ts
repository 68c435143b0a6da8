import type { Slot } from "./container/slot.ts";

/** A slot in use; disposing of it makes it free again. */
export interface SlotLease extends Disposable {
  readonly slot: Slot;
}

/** The slots of a worker: who asks gets a free one, in the order of asking. */
export class SlotPool implements AsyncDisposable {
  readonly #slots: readonly Slot[];
  readonly #free: Slot[];
  readonly #waiting: PromiseWithResolvers<Slot>[] = [];

  private constructor(slots: readonly Slot[]) {
    this.#slots = slots;
    this.#free = [...slots];
  }

  /** Opens `count` slots at once; when one of them cannot be opened, none stays open. */
  static async open(count: number, openSlot: (index: number) => Promise<Slot>): Promise<SlotPool> {
    const openings = await Promise.allSettled(Array.from({ length: count }, (_, index) => openSlot(index)));
    const slots = openings.flatMap((opening) => (opening.status === "fulfilled" ? [opening.value] : []));
    const failure = openings.find((opening) => opening.status === "rejected");
    if (failure === undefined) return new SlotPool(slots);
    await Promise.all(slots.map((slot) => slot[Symbol.asyncDispose]()));
    throw failure.reason;
  }

  get total(): number {
    return this.#slots.length;
  }

  get busy(): number {
    return this.#slots.length - this.#free.length;
  }

  /** Waits for a free slot. */
  async acquire(): Promise<SlotLease> {
    const slot = this.#free.pop() ?? (await this.#nextFree());
    return { slot, [Symbol.dispose]: () => this.#giveBack(slot) };
  }

  async #nextFree(): Promise<Slot> {
    const waiter = Promise.withResolvers<Slot>();
    this.#waiting.push(waiter);
    return await waiter.promise;
  }

  #giveBack(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next.resolve(slot);
  }

  /** Ends the slots' threads, and with them whatever runs there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot[Symbol.asyncDispose]()));
  }
}
