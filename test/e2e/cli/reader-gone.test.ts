import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bareEnvironment } from "../../support/environment.ts";
import { type Installation, startInstallation } from "../../support/installation.ts";

const command = join(import.meta.dirname, "../../../services/cli/longshore.ts");

let installation: Installation;
beforeAll(async () => {
  installation = await startInstallation(["python"], {});
});
afterAll(() => installation[Symbol.asyncDispose]());

/** Runs the command in a pipeline of bash; the exit code is the command's own. */
async function pipeline(words: string, pipe: string, directory: string) {
  const script = `"$0" "$1" ${words} ${pipe}; exit "\${PIPESTATUS[0]}"`;
  const child = spawn("bash", ["--norc", "-c", script, process.execPath, command], {
    cwd: directory,
    env: { ...bareEnvironment(), LONGSHORE_URL: installation.api.url },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [exitCode] = (await exited) as [number | null];
  return { exitCode, stdout, stderr };
}

/** Writes a line after the other for five minutes, if it is let. */
const slowly = (stream: string): string => `
import sys, time
for number in range(3000):
    print(number, file=sys.${stream}, flush=True)
    time.sleep(0.1)
`;

describe("longshore run", () => {
  it.each([
    ["stdout", "| head -n 1"],
    ["stderr", "2>&1 >/dev/null | head -n 1"],
  ])("cancels the job when the reader of its %s has gone, as head does", async (stream, pipe) => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-reader-"));
    await writeFile(join(directory.path, "main.py"), slowly(stream));
    const { exitCode, stdout, stderr } = await pipeline("run --wall-time-ms 300000 main.py", pipe, directory.path);
    expect(stdout).toBe("0\n");
    // That of a job that was canceled, by the word of the API.
    expect(exitCode).toBe(130);
    if (stream === "stdout") expect(stderr).toMatch(/^longshore: canceling job [0-9a-f-]{36}\n.* was canceled\n$/);
  });
});

describe("a command without a job", () => {
  it("ends well when its reader has gone", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-reader-"));
    const { exitCode, stderr } = await pipeline("workers", "| true", directory.path);
    expect([exitCode, stderr]).toEqual([0, ""]);
  });
});
