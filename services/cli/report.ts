import { styleText } from "node:util";

/** Writes one line of our own to stderr; the program's stderr comes out there too, so ours has a name in front. */
export function report(line: string): void {
  write(printable(line));
}

/** Says what went wrong, without a stack trace: these are the user's errors, or the network's. */
export function reportError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const [first = "", ...rest] = message.split("\n").map(printable);
  write(styleText("red", first, { stream: process.stderr }));
  for (const line of rest) write(`  ${line}`);
}

function write(line: string): void {
  process.stderr.write(`${styleText("dim", "longshore:", { stream: process.stderr })} ${line}\n`);
}

/** Names of files are a program's to choose: no newline of theirs begins a line of ours, no escape reaches a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
