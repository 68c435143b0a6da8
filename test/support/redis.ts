/**
 * A real redis-server for one test file: its own port, its own directory, ended with the test.
 *
 * Append-only with `fsync always`, so that `kill` and `restart` lose nothing that was acknowledged,
 * which is what the tests of delivery rely on.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A running redis-server; `await using` ends it and removes its directory. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Ends the process with SIGKILL; what it had acknowledged stays on its disk. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data; ends it first when it still runs. */
  restart(): Promise<void>;
  /** Freezes the process (SIGSTOP): connections stay open and nobody answers. */
  pause(): void;
  /** Lets a paused process go on. */
  resume(): void;
  /** Ends the process and removes its directory. */
  stop(): Promise<void>;
}

/** Further configuration, as redis-server takes it on its command line, e.g. `{ "maxmemory-policy": "allkeys-lru" }`. */
export type RedisSettings = Readonly<Record<string, string>>;

/** Starts a redis-server on a free port of 127.0.0.1 and resolves when it accepts connections. */
export async function startRedis(settings: RedisSettings = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "longshore-redis-"));
  const port = await freePort();
  let child = await launch(port, directory, settings);

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async function stop(): Promise<void> {
    await kill();
    await rm(directory, { recursive: true, force: true });
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      await kill();
      child = await launch(port, directory, settings);
    },
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A TCP port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
  return address.port;
}

async function launch(port: number, directory: string, settings: RedisSettings): Promise<ChildProcess> {
  const configuration = {
    port: String(port),
    bind: "127.0.0.1",
    dir: directory,
    save: "",
    appendonly: "yes",
    appendfsync: "always",
    "maxmemory-policy": "noeviction",
    ...settings,
  };
  const child = spawn(
    "redis-server",
    Object.entries(configuration).flatMap(([name, value]) => [`--${name}`, value]),
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const lines: string[] = [];
  const ready = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`redis-server ended at its start:\n${lines.join("\n")}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      if (line.includes("Ready to accept connections")) resolve();
    });
  });
  await ready;
  return child;
}
