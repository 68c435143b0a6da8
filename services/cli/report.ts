import { styleText } from "node:util";

/** Writes one line of our own to stderr; the program's stderr comes out there too, so ours has a name in front. */
export function report(line: string): void {
  process.stderr.write(`${styleText("dim", "longshore:", { stream: process.stderr })} ${line}\n`);
}

/** Says what went wrong, without a stack trace: these are the user's errors, or the network's. */
export function reportError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const [first = "", ...rest] = message.split("\n");
  report(styleText("red", first, { stream: process.stderr }));
  for (const line of rest) report(`  ${line}`);
}
