/** Shows a pull or push: a bar for each blob in a terminal, a line for each event elsewhere. */
import type { WriteStream } from "node:tty";
import { createLogUpdate } from "log-update";
import type { OnProgress, TransferProgress, TransferState } from "../../images/registry/progress.ts";
import { megabytes } from "./summary.ts";

interface TransferDisplay extends Disposable {
  readonly report: OnProgress;
}

/** A blob on its way. */
export interface BlobRow {
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly state: TransferState | { readonly kind: "waiting" };
}

/** Bars move this often, in milliseconds; chunks come far more often. */
const REDRAW_MS = 100;
const BAR_WIDTH = 30;

/** Shows on stderr what `transfer` reports; when it has ended, the terminal is free for other output again. */
export async function displayed<Result>(transfer: (onProgress: OnProgress) => Promise<Result>): Promise<Result> {
  using display = displayTransfer(process.stderr);
  return await transfer(display.report);
}

function displayTransfer(stream: WriteStream): TransferDisplay {
  // Pseudo-terminals that nobody looks at may be no columns wide.
  const isVisible = stream.isTTY && stream.columns > 0;
  return isVisible ? new TransferBars(stream) : new TransferLines((line) => stream.write(`${line}\n`));
}

/** For logs and pipes. */
export class TransferLines implements TransferDisplay {
  readonly #print: (line: string) => void;
  readonly #sizes = new Map<string, number>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  readonly report = (progress: TransferProgress): void => {
    if (progress.kind === "planned") for (const { digest, size } of progress.blobs) this.#sizes.set(digest, size);
    if (progress.kind !== "blob") return this.#print(announce(progress));
    const { digest, state } = progress;
    if (state.kind !== "moving")
      this.#print(`${shorten(digest)}: ${describeState(state)}, ${megabytes(this.#sizes.get(digest) ?? 0)}`);
  };

  [Symbol.dispose](): void {
    // Each line is out already.
  }
}

class TransferBars implements TransferDisplay {
  readonly #log: ReturnType<typeof createLogUpdate>;
  readonly #rows = new Map<string, BlobRow>();
  readonly #timer: NodeJS.Timeout;

  constructor(stream: WriteStream) {
    this.#log = createLogUpdate(stream);
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  readonly report = (progress: TransferProgress): void => {
    if (progress.kind !== "blob") {
      if (progress.kind === "planned")
        for (const { digest, size } of progress.blobs)
          this.#rows.set(digest, { digest, size, state: { kind: "waiting" } });
      this.#log.persist(announce(progress));
      return;
    }
    const row = this.#rows.get(progress.digest);
    if (row !== undefined) this.#rows.set(progress.digest, { ...row, state: progress.state });
  };

  #draw(): void {
    this.#log([...this.#rows.values()].map(drawRow).join("\n"));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#log.done();
  }
}

/** One line of the terminal, e.g. `sha256:0123456789ab ━━━━━━╸      12.3 MB of 24.6 MB`. */
export function drawRow({ digest, size, state }: BlobRow): string {
  switch (state.kind) {
    case "waiting":
      return `${shorten(digest)} ${drawBar(0)} waiting, ${megabytes(size)}`;
    case "moving":
      return `${shorten(digest)} ${drawBar(state.bytes / size)} ${megabytes(state.bytes)} of ${megabytes(size)}`;
    default:
      return `${shorten(digest)} ${drawBar(1)} ${describeState(state)}, ${megabytes(size)}`;
  }
}

/** @param share from 0 to 1; NaN, of nothing, is all of it */
function drawBar(share: number): string {
  const filled = Math.round(BAR_WIDTH * (Number.isNaN(share) ? 1 : Math.min(1, share)));
  return "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
}

function describeState(state: Exclude<TransferState, { readonly kind: "moving" }>): string {
  switch (state.kind) {
    case "present":
      return "there already";
    case "mounted":
      return `taken over from ${state.from}`;
    case "done":
      return "done";
    default:
      return state satisfies never;
  }
}

function announce(progress: Exclude<TransferProgress, { readonly kind: "blob" }>): string {
  switch (progress.kind) {
    case "planned": {
      const bytes = progress.blobs.reduce((sum, { size }) => sum + size, 0);
      return `${progress.reference}: ${progress.digest}, ${progress.blobs.length} blobs, ${megabytes(bytes)}`;
    }
    case "retry":
      return `again in ${(progress.pauseMs / 1000).toFixed(1)} s: ${progress.reason}`;
    case "mirror_failed":
      return `mirror ${progress.mirror} has failed, trying the next: ${progress.reason}`;
    default:
      return progress satisfies never;
  }
}

/** Twelve digits, as Docker shows them: enough to tell the layers of an image apart. */
function shorten(digest: string): string {
  return digest.slice(0, "sha256:".length + 12);
}
