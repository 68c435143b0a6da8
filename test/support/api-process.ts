/** An API as a process of its own, started as an operator does it; for tests that kill it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { vi } from "vitest";
import { bareEnvironment } from "./environment.ts";

const MAIN = join(import.meta.dirname, "../../services/api/main.ts");

/** An API process; `await using` ends it with SIGKILL if it still runs. */
export interface ApiProcess extends AsyncDisposable {
  readonly lines: readonly string[];
  /** Lines of stderr. */
  readonly complaints: readonly string[];
  readonly exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
  /** The URL that it listens on, once it does. */
  listening(): Promise<string>;
}

/** Starts an API with nothing in its environment but what is stated. */
export function startApiProcess(environment: Readonly<Record<string, string>>): ApiProcess {
  const child = spawn(process.execPath, [MAIN], {
    env: { ...bareEnvironment(), LONGSHORE_PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => complaints.push(line));
  const exited = once(child, "close").then(() => child.exitCode);
  return {
    lines,
    complaints,
    exited,
    kill: (signal) => void child.kill(signal),
    async listening() {
      return await vi.waitFor(() => {
        const [, url] = /"url":"([^"]+)"/.exec(lines.join("\n")) ?? [];
        if (url === undefined) throw new Error(`not listening: ${[...lines, ...complaints].join("\n")}`);
        return url;
      }, 90_000);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
