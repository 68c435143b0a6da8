/** As many at once as there are places; whoever comes then waits, in turn. */
export class Places {
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #free: number;

  /** @param count at least 1 */
  constructor(count: number) {
    this.#free = count;
  }

  /** Waits for a place. @returns what gives it back @throws the reason of `signal` */
  async enter(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    return { [Symbol.dispose]: () => this.#leave() };
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>();
    this.#waiting.push(turn);
    const giveUp = (): void => {
      const index = this.#waiting.indexOf(turn);
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      turn.reject(signal?.reason);
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await turn.promise;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** A place is handed over to who waits for it. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next.resolve();
  }
}
