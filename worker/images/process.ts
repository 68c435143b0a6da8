import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** How many of the last lines are kept to explain a failure. */
const KEPT_LINES = 40;

/** A command ended with another exit code than 0. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly command: string;
  /** `exit code N`, or the name of a signal. */
  readonly ending: string;
  /** What it printed last. */
  readonly lines: readonly string[];

  constructor(command: string, ending: string, lines: readonly string[]) {
    super(`${command} ended with ${ending}: ${lines.at(-1) ?? "no output"}`);
    this.command = command;
    this.ending = ending;
    this.lines = lines;
  }
}

export interface CommandOptions {
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Kills the command. */
  readonly signal?: AbortSignal;
  /** Receives each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a command to its end, without a shell, with the stated environment and no other.
 * @throws {CommandError} when it fails; the error of spawn(2), with `code` `ENOENT`, when it is not installed;
 *   the reason of `signal`, once the command is gone
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<void> {
  options.signal?.throwIfAborted();
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...options.environment },
    ...(options.directory !== undefined && { cwd: options.directory }),
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      options.onLine?.(line);
    });
  }
  const kill = () => child.kill("SIGKILL");
  options.signal?.addEventListener("abort", kill);
  try {
    // `close` comes after the last process that holds the pipes has gone, not only the first.
    const [exitCode, signal] = await once(child, "close");
    options.signal?.throwIfAborted();
    if (exitCode !== 0) throw new CommandError(command, signal ?? `exit code ${exitCode}`, lines);
  } finally {
    options.signal?.removeEventListener("abort", kill);
  }
}

/**
 * Runs a command like {@link runCommand} in mount and PID namespaces of its own. Everything that it mounts and
 * starts is gone when it ends, when it is aborted, and also when this process is killed.
 */
export async function runContained(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<void> {
  const unshare = ["unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"];
  try {
    await runCommand("setpriv", ["--pdeathsig", "KILL", ...unshare, command, ...args], options);
  } catch (error) {
    if (error instanceof CommandError) throw new CommandError(command, error.ending, error.lines);
    throw error;
  }
}
