import type { ShippedBuildEvent } from "../../images/shipped.ts";

/** Whether the output of steps is printed. */
export type Verbosity = "terse" | "verbose";

/** Prints what a build does, as plain lines on stderr. */
export class BuildPrinter {
  readonly #verbosity: Verbosity;
  readonly #print: (line: string) => void;

  /** @param print takes a line; stderr unless stated */
  constructor(verbosity: Verbosity, print: (line: string) => void = console.error) {
    this.#verbosity = verbosity;
    this.#print = print;
  }

  print(image: string, event: ShippedBuildEvent): void {
    switch (event.kind) {
      case "step": {
        const [firstLine = "", ...others] = event.text.split("\n");
        this.#print(`${image}: [${event.number}/${event.total}] ${firstLine}${others.length > 0 ? " …" : ""}`);
        return;
      }
      case "cached":
        return this.#print(`${image}: cached`);
      case "output":
        if (this.#verbosity === "verbose") this.#print(`${image}: | ${event.text}`);
        return;
      case "warning":
        return this.#print(`${image}: warning: ${event.text}`);
      case "waiting":
        return this.#print(`${image}: waiting for another process that builds it`);
      case "bootstrap":
        return this.#print(`${image}: unpacking a minimal Debian ${event.release}`);
      default:
        return event satisfies never;
    }
  }
}
