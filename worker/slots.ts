import type { Slot } from "./container/slot.ts";
import type { ContainerRunner } from "./jobs/context.ts";

/** A slot in use; disposing of it makes it free again. */
export interface SlotLease extends Disposable {
  readonly slot: Slot;
}

/** The slots of a worker: who asks gets a free one, in the order of asking. */
export class SlotPool implements AsyncDisposable {
  readonly #slots: readonly Slot[];
  readonly #free: Slot[];
  readonly #openSlot: (index: number) => Promise<Slot>;
  /** By the index of their slots. */
  readonly #companions = new Map<number, Promise<Slot>>();
  readonly #waiting: PromiseWithResolvers<Slot>[] = [];

  private constructor(slots: readonly Slot[], openSlot: (index: number) => Promise<Slot>) {
    this.#slots = slots;
    this.#openSlot = openSlot;
    this.#free = [...slots];
  }

  /** Opens `count` slots at once, of twice as many that `openSlot` can open; when one of them cannot be opened, none stays open. */
  static async open(count: number, openSlot: (index: number) => Promise<Slot>): Promise<SlotPool> {
    const openings = await Promise.allSettled(Array.from({ length: count }, (_, index) => openSlot(index)));
    const slots = openings.flatMap((opening) => (opening.status === "fulfilled" ? [opening.value] : []));
    const failure = openings.find((opening) => opening.status === "rejected");
    if (failure === undefined) return new SlotPool(slots, openSlot);
    await Promise.all(slots.map((slot) => slot[Symbol.asyncDispose]()));
    throw failure.reason;
  }

  get total(): number {
    return this.#slots.length;
  }

  get busy(): number {
    return this.#slots.length - this.#free.length;
  }

  /** Containers that are prepared for jobs to come; those beside slots are not counted. */
  get waiting(): number {
    return this.#slots.reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** Waits for a free slot. @throws the reason of `signal` */
  async acquire(signal: AbortSignal): Promise<SlotLease> {
    signal.throwIfAborted();
    return this.#lease(this.#takeFree() ?? (await this.#nextFree(signal)));
  }

  /** A slot that is free now; undefined when there is none. */
  tryAcquire(): SlotLease | undefined {
    const slot = this.#takeFree();
    return slot && this.#lease(slot);
  }

  /**
   * The slot that was used last, which the cores' caches know best, of those that would begin at once. While all are being
   * prepared for their next container, the one that has been so for longest.
   */
  #takeFree(): Slot | undefined {
    const index = this.#free.findLastIndex(({ isReady }) => isReady);
    return this.#free.splice(Math.max(0, index), 1)[0];
  }

  /**
   * The place beside a slot, opened when it is first asked for. It is no slot of the pool: who has a slot never waits for
   * a second place, which others may hold who wait, too.
   */
  async companionOf(slot: ContainerRunner): Promise<Slot> {
    const index = this.#slots.findIndex((candidate) => candidate === slot);
    if (index < 0) throw new RangeError("this slot is not of the pool");
    const companion = this.#companions.get(index) ?? this.#openSlot(this.#slots.length + index);
    this.#companions.set(index, companion);
    try {
      return await companion;
    } catch (error) {
      this.#companions.delete(index);
      throw error;
    }
  }

  #lease(slot: Slot): SlotLease {
    return { slot, [Symbol.dispose]: () => this.#giveBack(slot) };
  }

  async #nextFree(signal: AbortSignal): Promise<Slot> {
    const waiter = Promise.withResolvers<Slot>();
    const leave = (): void => {
      const position = this.#waiting.indexOf(waiter);
      // Else it has its slot already.
      if (position < 0) return;
      this.#waiting.splice(position, 1);
      waiter.reject(signal.reason);
    };
    this.#waiting.push(waiter);
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await waiter.promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #giveBack(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next.resolve(slot);
  }

  /** Ends the slots' threads, and with them whatever runs there. */
  async [Symbol.asyncDispose](): Promise<void> {
    const companions = await Promise.allSettled(this.#companions.values());
    const opened = companions.flatMap((opening) => (opening.status === "fulfilled" ? [opening.value] : []));
    await Promise.all([...this.#slots, ...opened].map((slot) => slot[Symbol.asyncDispose]()));
  }
}
