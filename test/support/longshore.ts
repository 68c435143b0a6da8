/**
 * Longshore as its users have it: `npm start`'s program, which runs Redis, API and worker, and the `longshore` command.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { createInterface } from "node:readline";
import { freePort } from "./redis.ts";

const root = join(import.meta.dirname, "../..");

type Environment = Readonly<Record<string, string>>;

/** A running `npm start`; `await using` stops it. */
export interface Longshore extends AsyncDisposable {
  readonly url: string;
  readonly process: ChildProcess;
  /** Lines that it has printed so far: its own, those of its children, and the first job's. */
  readonly lines: readonly string[];
  /** Resolves with the first line, printed before or after, that matches. */
  line(pattern: RegExp): Promise<string>;
  /** Runs the `longshore` command against it. */
  command(words: readonly string[], options?: CommandOptions): Promise<Finished>;
  /** Asks it to stop, as Ctrl-C does, and resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** What a command is given besides its words. */
export interface CommandOptions {
  readonly stdin?: string | Uint8Array;
  readonly environment?: Environment;
  readonly directory?: string;
  /** Called when the command runs; to be ended, say. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** A command that has ended. */
export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts everything on free ports and resolves when it serves. Throws, with what it printed, when it does not. */
export async function startLongshore(dataDirectory: string, environment: Environment = {}): Promise<Longshore> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [join(root, "infra/start.ts")], {
    env: {
      ...withoutOwnVariables(),
      LONGSHORE_DATA: dataDirectory,
      LONGSHORE_PORT: String(port),
      LONGSHORE_METRICS_PORT: "0",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const exited = once(child, "exit");
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const listener of listeners) listener();
    });
  }

  async function line(pattern: RegExp): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const look = () => {
      const found = lines.find((candidate) => pattern.test(candidate));
      if (found !== undefined) resolve(found);
    };
    listeners.add(look);
    look();
    void exited.then(() => reject(new Error(`longshore ended and never said ${pattern}:\n${lines.join("\n")}`)));
    return promise.finally(() => listeners.delete(look));
  }

  async function stop(): Promise<number | null> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGINT");
      await exited;
    }
    return child.exitCode;
  }

  await line(/longshore:.* serving on /);
  return {
    url,
    process: child,
    lines,
    line,
    stop,
    command: (words, options = {}) =>
      runCommand(words, { ...options, environment: { LONGSHORE_URL: url, ...options.environment } }),
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/** Ids of the processes that it has started, as long as they live: `redis`, `api` and `worker`. */
export function childrenOf({ process: { pid } }: Longshore): ReadonlyMap<string, number> {
  const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  return new Map(
    ids.map((id) => {
      const command = readFileSync(`/proc/${id}/cmdline`, "utf8");
      const name = command.includes("redis-server") ? "redis" : command.includes("services/api") ? "api" : "worker";
      return [name, Number(id)];
    }),
  );
}

/** Runs the `longshore` command with words, and nothing of the caller's configuration. */
export async function runCommand(words: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const child = spawn(process.execPath, [join(root, "services/cli/longshore.ts"), ...words], {
    env: { ...withoutOwnVariables(), ...options.environment },
    cwd: options.directory ?? root,
  });
  // A command that ends early does not read its stdin.
  child.stdin.on("error", () => undefined).end(options.stdin);
  const exited = once(child, "exit");
  options.onStart?.(child);
  const [stdout, stderr] = await Promise.all([buffer(child.stdout), buffer(child.stderr), exited]);
  return { exitCode: child.exitCode, stdout, stderr: stderr.toString() };
}

function withoutOwnVariables(): NodeJS.ProcessEnv {
  const own = (name: string) => name.startsWith("LONGSHORE_") || name === "REDIS_URL";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own(name)));
}
