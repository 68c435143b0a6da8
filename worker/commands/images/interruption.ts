/** The first SIGINT or SIGTERM aborts what is under way, so that it can tidy up; a second one ends the process. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #interrupt = (): void => {
    this[Symbol.dispose]();
    this.#controller.abort(new Error("interrupted"));
  };

  constructor() {
    process.once("SIGINT", this.#interrupt).once("SIGTERM", this.#interrupt);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#interrupt).off("SIGTERM", this.#interrupt);
  }
}
