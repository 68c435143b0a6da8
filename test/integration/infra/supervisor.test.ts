import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { prepareRedis } from "../../../infra/start/redis.ts";
import { type Program, Supervisor } from "../../../infra/start/supervisor.ts";

const impatient = { firstDelayMs: 5, longestDelayMs: 20, recoveredMs: 60_000, newStartsInARow: 3 };
const reports: string[] = [];
afterEach(() => reports.splice(0));

function supervise(patience = impatient): Supervisor {
  const supervisor = new Supervisor((line) => reports.push(line), patience);
  onTestFinished(() => supervisor.stop());
  return supervisor;
}

function program(name: string, script: string, rest: Partial<Program> = {}): Program {
  return {
    name,
    command: [process.execPath, "-e", script],
    environment: {},
    output: "keep",
    deathSignal: "SIGKILL",
    stopTimeoutMs: 10_000,
    ready: () => Promise.resolve(),
    ...rest,
  };
}

/** A server that each life of a program calls: its first line is what it has to say, its close is its death. */
async function listen() {
  const server = createServer();
  const calls: { line: string; socket: Socket; closed: Promise<unknown> }[] = [];
  const waiting: (() => void)[] = [];
  server.on("connection", (socket) => {
    createInterface({ input: socket }).once("line", (line) => {
      calls.push({ line, socket, closed: once(socket, "close") });
      for (const wake of waiting.splice(0)) wake();
    });
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    /** Script that says `word` and stays. */
    saying: (word: string) =>
      `require("node:net").connect(${address.port}, "127.0.0.1").write(${word} + "\\n"); setInterval(() => {}, 1e6)`,
    async call(index: number) {
      for (;;) {
        const call = calls[index];
        if (call !== undefined) return call;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

describe("the supervisor", () => {
  it("refuses a start, with what the program said, when it ends before it is ready", async () => {
    const never = (signal: AbortSignal) => delay(1e6, undefined, { signal });
    const failing = program("api", `console.error("port 8080 is taken"); process.exit(3)`, { ready: never });
    await expect(supervise().start(failing)).rejects.toThrow("api ended with exit code 3:\nport 8080 is taken");
  });

  it("says what cannot be started at all", async () => {
    const absent = program("redis", "", {
      command: ["no-such-program"],
      ready: (signal) => delay(1e6, undefined, { signal }),
    });
    await expect(supervise().start(absent)).rejects.toThrow(/^redis ended with exit code \d+:\n.*no-such-program/);
  });

  it("starts a program again that was killed", async () => {
    const server = await listen();
    await supervise().start(program("worker", server.saying("process.pid")));
    const first = await server.call(0);
    process.kill(Number(first.line), "SIGKILL");
    const second = await server.call(1);
    expect(second.line).not.toBe(first.line);
    expect(reports[0]).toBe("worker ended with SIGKILL; starting it again in 5 ms");
  });

  it("gives up on a program that keeps ending", async () => {
    const supervisor = supervise();
    await supervisor.start(program("worker", "process.exit(7)"));
    expect(await supervisor.failed).toBe("worker keeps ending: worker ended with exit code 7");
    expect(reports.filter((line) => line.includes("starting it again"))).toHaveLength(impatient.newStartsInARow);
  });

  it("ends programs in the reverse order, each before the next", async () => {
    const server = await listen();
    const order: string[] = [];
    const supervisor = supervise();
    for (const [index, name] of ["redis", "api", "worker"].entries()) {
      await supervisor.start(program(name, server.saying(`"${name}"`)));
      void (await server.call(index)).closed.then(() => order.push(name));
    }
    await supervisor.stop();
    const { closed } = await server.call(0);
    await closed;
    expect(order).toEqual(["worker", "api", "redis"]);
  });

  it("kills a program that does not end in its time", async () => {
    const server = await listen();
    const stubborn = `process.on("SIGTERM", () => {}); ${server.saying("process.pid")}`;
    const supervisor = supervise();
    await supervisor.start(program("worker", stubborn, { stopTimeoutMs: 50 }));
    const { closed } = await server.call(0);
    await supervisor.stop();
    await expect(closed).resolves.toBeDefined();
  });

  it("leaves no program behind when it is killed itself", async () => {
    const server = await listen();
    const module = join(import.meta.dirname, "../../../infra/start/supervisor.ts");
    const described = JSON.stringify({ ...program("worker", server.saying("process.pid")), ready: undefined });
    const script = `
      const { Supervisor } = await import(${JSON.stringify(module)});
      await new Supervisor(console.log).start({ ...${described}, ready: async () => {} });`;
    const supervisor = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
    const { closed } = await server.call(0);
    supervisor.kill("SIGKILL");
    await expect(closed).resolves.toBeDefined();
  });
});

describe("the redis of npm start", () => {
  it("asks for its password, keeps what it acknowledged, and does not evict", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-start-"));
    const supervisor = supervise();
    const { program: redis, url } = await prepareRedis(directory.path);
    await supervisor.start(redis);

    const client = new Redis(url);
    await client.set("job", "accepted");
    expect(await client.info("memory")).toContain("maxmemory_policy:noeviction");
    client.disconnect();
    await expect(anonymously(url)).rejects.toThrow("NOAUTH");
    await supervisor.stop();

    const next = supervise();
    const again = await prepareRedis(directory.path);
    await next.start(again.program);
    const second = new Redis(again.url);
    expect(await second.get("job")).toBe("accepted");
    second.disconnect();
  });

  it("refuses a directory that another one uses", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-start-"));
    await supervise().start((await prepareRedis(directory.path)).program);
    await expect(supervise().start((await prepareRedis(directory.path)).program)).rejects.toThrow(
      `redis ended: another longshore uses ${directory.path}: stop it, or set LONGSHORE_DATA`,
    );
  });
});

async function anonymously(url: string): Promise<unknown> {
  const client = new Redis(Number(new URL(url).port), "127.0.0.1", { enableReadyCheck: false }).on(
    "error",
    () => undefined,
  );
  try {
    return await client.get("job");
  } finally {
    client.disconnect();
  }
}
