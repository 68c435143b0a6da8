/**
 * News about single jobs, or whatever else has an id, for those in this process who wait for them: one connection, one subscription.
 *
 * A message is lost while the connection is down, and also between reading a record and subscribing. So whoever
 * watches a job is called on every message *and* after every (re)subscription, and reads the record each time:
 * subscribe first, then read, and nothing can be missed. The connection that they read with may come back later
 * than this one; when it does, they are called once more.
 *
 * A message is an id, and whatever else whoever publishes it has to say, behind a space.
 */
import type { Redis } from "ioredis";

/** Called with what the message says beside the id, where that is why. */
type Listener = (detail?: string) => void;

export class JobSignals {
  readonly #subscriber: Redis;
  readonly #reader: Redis;
  readonly #channel: string;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #onReady = (): void => void this.#subscribe();
  readonly #onReaderReady = (): void => this.#notifyAll();
  readonly #onMessage = (channel: string, message: string): void => {
    if (channel !== this.#channel) return;
    const space = message.indexOf(" ");
    if (space < 0) this.#notify(message);
    else this.#notify(message.slice(0, space), message.slice(space + 1));
  };

  /**
   * @param subscriber a connection of the role `subscriber`, used for signals only; who made it closes it
   * @param reader the connection with which the listeners read records
   */
  constructor(subscriber: Redis, reader: Redis, channel: string) {
    this.#subscriber = subscriber;
    this.#reader = reader;
    this.#channel = channel;
    subscriber.on("ready", this.#onReady);
    subscriber.on("message", this.#onMessage);
    reader.on("ready", this.#onReaderReady);
    if (subscriber.status === "ready") this.#onReady();
  }

  /** Calls the listener whenever there may be news of a job, until the registration is disposed of. */
  watch(id: string, listener: Listener): Disposable {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id);
      },
    };
  }

  /** Jobs that are watched now. */
  get size(): number {
    return this.#listeners.size;
  }

  [Symbol.dispose](): void {
    this.#subscriber.off("ready", this.#onReady);
    this.#subscriber.off("message", this.#onMessage);
    this.#reader.off("ready", this.#onReaderReady);
    this.#listeners.clear();
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel);
    } catch {
      // The connection broke again: the next `ready` subscribes.
      return;
    }
    this.#notifyAll();
  }

  #notifyAll(): void {
    for (const id of this.#listeners.keys()) this.#notify(id);
  }

  #notify(id: string, detail?: string): void {
    for (const listener of this.#listeners.get(id) ?? []) listener(detail);
  }
}
