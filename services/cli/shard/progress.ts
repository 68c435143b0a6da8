/** How shards stand while they run: a line for each in a terminal, a line for each change elsewhere. */
import { styleText } from "node:util";
import type { WriteStream } from "node:tty";
import { createLogUpdate } from "log-update";
import type { ShardEvent } from "../../../shared/shard-result.ts";
import { printable } from "../report.ts";

/** Disposing of it leaves the terminal to others. */
export interface ShardProgress extends Disposable {
  show(event: ShardEvent): void;
}

/** Lines of a terminal are drawn this often, in milliseconds: time goes on in them between events. */
const REDRAW_MS = 200;

/** Shows progress on a stream that people or logs read. */
export function showShards(stream: WriteStream): ShardProgress {
  // Pseudo-terminals that nobody looks at may be no columns wide.
  const isVisible = stream.isTTY && stream.columns > 0;
  return isVisible ? new LiveLines(stream) : new ChangeLines((line) => stream.write(`${line}\n`));
}

/** A shard's last event, and when it came, in milliseconds of performance.now(). */
interface Row {
  readonly event: ShardEvent;
  readonly cameAt: number;
}

class LiveLines implements ShardProgress {
  readonly #stream: WriteStream;
  readonly #log: ReturnType<typeof createLogUpdate>;
  readonly #rows = new Map<number, Row>();
  readonly #timer: NodeJS.Timeout;

  constructor(stream: WriteStream) {
    this.#stream = stream;
    this.#log = createLogUpdate(stream);
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  show(event: ShardEvent): void {
    this.#rows.set(event.shard, { event, cameAt: performance.now() });
  }

  #draw(): void {
    const inOrder = [...this.#rows.values()].toSorted((a, b) => a.event.shard - b.event.shard);
    this.#log(
      inOrder
        .map(({ event, cameAt }) =>
          describeShard(event, event.state === "running" ? performance.now() - cameAt : 0, this.#stream),
        )
        .join("\n"),
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#log.done();
  }
}

/** For logs and pipes. */
export class ChangeLines implements ShardProgress {
  readonly #print: (line: string) => void;
  readonly #last = new Map<number, string>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  show(event: ShardEvent): void {
    const { shard, state, attempt } = event;
    const change = `${state} ${attempt}`;
    if (this.#last.get(shard) === change) return;
    this.#last.set(shard, change);
    this.#print(describeShard(event, 0, undefined));
  }

  [Symbol.dispose](): void {
    // Each line is out already.
  }
}

/**
 * One line, e.g. `shard 2/4  running   12 of 30 items  118 passed, 1 failed  4.2 s  worker-1`.
 * @param sinceMs how long ago that was, in milliseconds
 * @param stream where it is shown in color; undefined for none
 */
export function describeShard(event: ShardEvent, sinceMs: number, stream: WriteStream | undefined): string {
  const { shard, shards, state, attempt, worker, items, itemsTotal, counts, wallTimeMs } = event;
  const place = `shard ${String(shard).padStart(String(shards).length)}/${shards}`;
  const share = itemsTotal === null ? `${items} items` : `${items} of ${itemsTotal} items`;
  const tests = describeCounts(counts);
  const parts = [
    place,
    state.padEnd("canceled".length),
    state === "queued" ? "" : share,
    tests,
    state === "queued" ? "" : seconds(wallTimeMs + sinceMs),
    worker === null ? "" : printable(worker),
    attempt > 1 ? `attempt ${attempt}` : "",
  ];
  const line = parts
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
  const isBad = state === "failed" || counts.failed + counts.errored > 0;
  if (stream === undefined) return line;
  return styleText(isBad ? "red" : state === "done" ? "green" : "reset", line, { stream });
}

/** What there is of passed, failed and so on, e.g. `118 passed, 1 failed`; empty where there is nothing. */
export function describeCounts(counts: ShardEvent["counts"]): string {
  const { passed, failed, errored, skipped, flaky, lost } = counts;
  return Object.entries({ passed, failed, errored, skipped, flaky, lost })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
}

/** With two digits that count. */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
}
