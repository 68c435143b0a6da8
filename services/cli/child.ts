import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { join } from "node:path";
import { exitCodes } from "./exit-codes.ts";

const root = join(import.meta.dirname, "../..");

/**
 * Runs a program of this checkout in our place: its stdin, stdout and stderr are ours, and so becomes its exit code.
 * `program` is a TypeScript file, relative to the project's root.
 *
 * Commands that look into the machine belong to the worker, which the command line may not import.
 */
export async function become(program: string, words: readonly string[]): Promise<void> {
  await becomeCommand(process.execPath, [join(root, program), ...words]);
}

/** As {@link become}, for any command. */
export async function becomeCommand(command: string, words: readonly string[]): Promise<void> {
  const child = spawn(command, words, { stdio: "inherit" });
  // A terminal's Ctrl-C reaches the child by itself; what is sent to us alone is passed on.
  const passOn = (signal: NodeJS.Signals) => child.kill(signal);
  const ignore = () => undefined;
  process.on("SIGTERM", passOn).on("SIGINT", ignore);
  try {
    await once(child, "exit");
  } finally {
    process.off("SIGTERM", passOn).off("SIGINT", ignore);
  }
  const { exitCode, signalCode } = child;
  process.exitCode =
    signalCode === null ? (exitCode ?? exitCodes.ownFailure) : exitCodes.signalBase + constants.signals[signalCode];
}

/** Absolute path of a file of this checkout. */
export function fromRoot(path: string): string {
  return join(root, path);
}
