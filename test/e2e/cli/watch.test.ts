import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandLine, startCommandLine } from "../../support/command-line.ts";
import type { CommandOptions } from "../../support/longshore.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

let commandLine: CommandLine;

beforeAll(async () => {
  commandLine = await startCommandLine(["python"]);
});
afterAll(() => commandLine[Symbol.asyncDispose]());

async function run(source: string, options: CommandOptions = {}, words: readonly string[] = []) {
  await commandLine.write({ "main.py": source });
  return await commandLine.longshore(["run", "main.py", ...words], options);
}

describe("longshore run", () => {
  it("shows what the program writes while it runs", async () => {
    const source = `import sys, time\nprint("begun", flush=True)\ntime.sleep(300)`;
    // Ended as soon as it is seen: without that, the program would go on for its five minutes.
    const onStart: CommandOptions["onStart"] = (child) =>
      void child.stdout?.once("data", () => void child.kill("SIGINT"));
    const { exitCode, stdout, stderr } = await run(source, { onStart }, ["--wall-time-ms", "300000"]);
    expect([exitCode, stdout.toString()]).toEqual([130, "begun\n"]);
    expect(stderr).toMatch(/^longshore: canceling job [0-9a-f-]{36}\nlongshore: job [0-9a-f-]{36} was canceled\n$/);
  });

  it("prints every byte once, although its connection breaks again and again", async () => {
    const { port } = new URL(commandLine.installation.api.url);
    await using proxy = await TcpProxy.open(Number(port));
    const source = `
import random, sys, time
generator = random.Random(3)
for _ in range(60):
    sys.stdout.buffer.write(generator.randbytes(10_000)); sys.stdout.flush(); time.sleep(0.05)
`;
    let received = 0;
    const onStart: CommandOptions["onStart"] = (child) =>
      void child.stdout?.on("data", (bytes: Buffer) => {
        const before = received;
        received += bytes.length;
        if (Math.floor(before / 150_000) !== Math.floor(received / 150_000)) proxy.cut();
      });
    const environment = { LONGSHORE_URL: `http://127.0.0.1:${proxy.port}` };
    const { exitCode, stdout } = await run(source, { onStart, environment });
    const whole = await run(source);
    expect([exitCode, stdout.length]).toEqual([0, 600_000]);
    const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
    expect(sha256(stdout)).toBe(sha256(whole.stdout));
    expect(proxy.connections).toBeGreaterThan(3);
  });

  it("gives up when the API has gone for good", async () => {
    const { port } = new URL(commandLine.installation.api.url);
    await using proxy = await TcpProxy.open(Number(port));
    const source = `import time\nprint("begun", flush=True)\ntime.sleep(8)`;
    const onStart: CommandOptions["onStart"] = (child) =>
      void child.stdout?.once("data", () => {
        proxy.reception = "refuse";
        proxy.cut();
      });
    const environment = { LONGSHORE_URL: `http://127.0.0.1:${proxy.port}` };
    const { exitCode, stdout, stderr } = await run(source, { onStart, environment });
    expect([exitCode, stdout.toString()]).toEqual([125, "begun\n"]);
    expect(stderr).toMatch(/^longshore: cannot reach http/);
  });
});
