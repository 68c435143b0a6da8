import { createHash } from "node:crypto";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/data-directory.ts";
import { type CommandOptions, type Longshore, startLongshore } from "../../support/longshore.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

let data: DataDirectory;
let longshore: Longshore;
let directory: Awaited<ReturnType<typeof mkdtempDisposable>>;

beforeAll(async () => {
  data = await makeDataDirectory();
  longshore = await startLongshore(data.path, { LONGSHORE_LOG_LEVEL: "error" });
  directory = await mkdtempDisposable(join(tmpdir(), "longshore-watch-"));
});
afterAll(async () => {
  await longshore.stop();
  await data[Symbol.asyncDispose]();
  await directory.remove();
});

async function run(source: string, options: CommandOptions = {}, words: readonly string[] = []) {
  await writeFile(join(directory.path, "main.py"), source);
  return await longshore.command(["run", "main.py", ...words], { directory: directory.path, ...options });
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
    const { port } = new URL(longshore.url);
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
    const { port } = new URL(longshore.url);
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
