import type { WriteStream } from "node:tty";
import { ChangeLines, type Display, LiveLines } from "./displays.ts";
import { OutputLines } from "./output-lines.ts";
import { nameOf, type PartOutput, type Standing, type SuiteEvent } from "./suite-events.ts";

/** What becomes of what parts print: all of it is shown, or the last line of each where there is a place for it. */
export type OutputMode = "streamed" | "last line";

/** Shows how a suite goes on, on a stream that people or logs read. */
export function showSuite(stream: WriteStream, mode: OutputMode): SuiteProgress {
  // Pseudo-terminals that nobody looks at may be no columns wide.
  const isVisible = stream.isTTY && stream.columns > 0;
  const display = isVisible ? new LiveLines(stream) : new ChangeLines((line) => stream.write(`${line}\n`));
  return new SuiteProgress(display, mode);
}

/** What happens in a suite, for those who follow it. Disposing of it leaves the stream to others. */
export class SuiteProgress implements Disposable {
  readonly #display: Display;
  readonly #mode: OutputMode;
  readonly #lines = new OutputLines();
  #attempt = 1;

  constructor(display: Display, mode: OutputMode) {
    this.#display = display;
    this.#mode = mode;
  }

  show(event: SuiteEvent): void {
    switch (event.kind) {
      case "attempt":
        this.#attempt = event.attempt;
        return;
      case "output":
        return this.#print(event);
      case "phase":
      case "shard":
        return this.#stand(event);
      default:
        event satisfies never;
    }
  }

  #stand(standing: Standing): void {
    const part = nameOf(standing);
    // It is told between its commands, and when another attempt begins anew: what has begun a line does not go on.
    const lines = this.#lines.end(part);
    if (this.#mode === "streamed") this.#stream(part, lines);
    else this.#display.printed(part, "");
    this.#display.stands(standing, this.#attempt);
  }

  #print(output: PartOutput): void {
    const { part } = output;
    const lines = this.#lines.write(output);
    if (this.#mode === "streamed") this.#stream(part, lines);
    else this.#display.printed(part, this.#lines.lastOf(part));
  }

  /** Says whose each line is, so that none begins a line of ours, or a command to the CI system that shows it. */
  #stream(part: string, lines: readonly string[]): void {
    if (lines.length > 0) this.#display.add(lines.map((line) => `${part} | ${line}`.trimEnd()));
  }

  [Symbol.dispose](): void {
    this.#display[Symbol.dispose]();
  }
}
