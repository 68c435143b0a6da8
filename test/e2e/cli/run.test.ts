import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobSchema } from "../../../shared/job.ts";
import { type CommandLine, startCommandLine } from "../../support/command-line.ts";
import { type CommandOptions, runCommand } from "../../support/longshore.ts";
import { freePort } from "../../support/redis.ts";

let commandLine: CommandLine;

beforeAll(async () => {
  commandLine = await startCommandLine(["python", "c"]);
});
afterAll(() => commandLine[Symbol.asyncDispose]());

/** Writes a program and runs it. */
async function run(name: string, source: string, words: readonly string[] = [], options: CommandOptions = {}) {
  await commandLine.write({ [name]: source });
  const { exitCode, stdout, stderr } = await commandLine.longshore(["run", name, ...words], options);
  return { exitCode, stdout: stdout.toString(), bytes: stdout, stderr };
}

describe("longshore run", () => {
  it("has the program's output and its exit code", async () => {
    const source = `import sys; print("out"); print("err", file=sys.stderr); sys.exit(42)`;
    expect(await run("main.py", source)).toMatchObject({ exitCode: 42, stdout: "out\n", stderr: "err\n" });
  });

  it("prints bytes as they are", async () => {
    const { bytes } = await run("bytes.py", `import sys; sys.stdout.buffer.write(bytes(range(256)))`);
    expect(bytes).toEqual(Buffer.from(Array.from({ length: 256 }, (_, value) => value)));
  });

  it("passes words, variables, its own stdin and further files on", async () => {
    await commandLine.write({ "data.txt": "from a file" });
    const source = `import os, sys; print(sys.argv[1:], os.environ["COLOR"], open("data.txt").read(), input())`;
    const words = ["data.txt", "--env", "COLOR=blue", "--stdin", "-", "--", "-v", "two words"];
    const { stdout } = await run("all.py", source, words, { stdin: "from stdin\n" });
    expect(stdout).toBe("['-v', 'two words'] blue from a file from stdin\n");
  });

  it("runs a command in an image", async () => {
    const { stdout } = await run("tool.py", `print("a tool")`, ["--image", "python", "--", "python3", "tool.py"]);
    expect(stdout).toBe("a tool\n");
  });

  it("compiles what has to be compiled, and shows the compiler's messages when that fails", async () => {
    const good = await run("good.c", `#include <stdio.h>\nint main(void) { puts("compiled"); return 3; }`);
    expect(good).toMatchObject({ exitCode: 3, stdout: "compiled\n" });
    const bad = await run("bad.c", `int main(void) { return undeclared; }`);
    expect(bad.exitCode).toBe(1);
    expect(bad.stdout).toBe("");
    expect(bad.stderr).toMatch(/‘undeclared’ undeclared[\s\S]*the build failed, so the program was not run\n$/);
  });

  it("exits with 124 when a limit ends the program, and says which", async () => {
    const { exitCode, stderr } = await run("loop.py", "while True: pass", ["--cpu-time-ms", "200"]);
    expect(exitCode).toBe(124);
    expect(stderr).toMatch(/^longshore: cpu_limit: ended after \d+ ms of CPU time: raise --cpu-time-ms\n$/);
  });

  it("exits with 128 and the signal that ended the program", async () => {
    const { exitCode, stderr } = await run("abort.py", "import os; os.abort()");
    expect(exitCode).toBe(134);
    expect(stderr).toMatch(/^longshore: ended by SIGABRT\n$/m);
  });

  it("prints the job as JSON when asked", async () => {
    const { stdout, exitCode } = await run("json.py", `print("in the job")`, ["--json"]);
    const job = jobSchema.parse(JSON.parse(stdout));
    expect(job).toMatchObject({ state: "done", result: { outcome: "exited", stdout: { content: "in the job\n" } } });
    expect(exitCode).toBe(0);
  });

  it("saves the files that the program made", async () => {
    const source = `import os; os.mkdir("out"); open("out/a.bin", "wb").write(b"\\xff\\x00")`;
    const { stderr } = await run("files.py", source, ["--output", "out/*", "--output", "absent.txt"]);
    expect(await readFile(join(commandLine.directory, "outputs/out/a.bin"))).toEqual(Buffer.from([0xff, 0x00]));
    expect(stderr).toContain("absent.txt was not returned: no such file");
  });

  it("cancels the job when it is interrupted", async () => {
    const source = `import time\nprint("started", flush=True)\ntime.sleep(300)`;
    const wall = ["--wall-time-ms", "300000"];
    const { exitCode, stderr } = await run("sleep.py", source, wall, {
      onStart: (child) => void runsSomewhere().then(() => child.kill("SIGINT")),
    });
    expect(exitCode).toBe(130);
    expect(stderr).toMatch(/canceling job [0-9a-f-]{36}\n.*job [0-9a-f-]{36} was canceled\n$/);
  });

  it.each([
    ["a limit beyond the server's", ["--cpus", "1000"], /limits\.cpus/],
    ["a language that is not known", ["--language", "cobol"], /language is not known: choose one of bash, c,/],
    ["an image that is not there", ["--image", "absent", "--", "true"], /failed: .*image/],
  ])("exits with 125 for %s, and says why", async (_, words, message) => {
    const { exitCode, stderr, stdout } = await run("main.py", "print(1)", words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 125, stdout: "" });
    expect(stderr).toMatch(message);
  });

  it("says in one line that the API cannot be reached", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const { exitCode, stderr } = await run("main.py", "print(1)", [], { environment: { LONGSHORE_URL: url } });
    const line = `longshore: cannot reach ${url}: connection refused: start it with npm start, or set LONGSHORE_URL\n`;
    expect({ exitCode, stderr }).toEqual({ exitCode: 125, stderr: line });
  });

  it("refuses a configuration with an unknown variable", async () => {
    const { exitCode, stderr } = await runCommand(["workers"], { environment: { LONGSHORE_URI: "http://x" } });
    expect(exitCode).toBe(125);
    expect(stderr).toContain("LONGSHORE_URI is unknown");
  });
});

describe("longshore blobs put", () => {
  it("packs a directory, sends it once, and a run has it as a layer that it can write to", async () => {
    await commandLine.write({ "tree/package/answer.py": "ANSWER = 42\n" });
    const put = () => commandLine.longshore(["blobs", "put", "tree"]);
    const first = await put();
    const digest = first.stdout.toString().trim();
    expect([first.exitCode, first.stderr, digest]).toEqual([0, "", expect.stringMatching(/^sha256:[0-9a-f]{64}$/)]);
    const again = await put();
    expect([again.stdout.toString(), again.stderr]).toEqual([`${digest}\n`, "longshore: it was there already\n"]);
    const source = `from package.answer import ANSWER; open("package/answer.py", "a"); print(ANSWER)`;
    const { stdout } = await run("use.py", source, ["--layer", `${digest}=/work`]);
    expect(stdout).toBe("42\n");
  });

  it.each([
    [["blobs", "put", "/nonexistent"], /ENOENT/],
    [["run", "x.py", "--layer", "sha256:1"], /--layer sha256:1 is not DIGEST=PATH/],
    [["run", "x.py", "--layer", `sha256:${"0".repeat(64)}=/work`], /you have no blob of this digest/],
  ])("says why not when it cannot: %j", async (words, message) => {
    await commandLine.write({ "x.py": "" });
    const { stderr, exitCode } = await commandLine.longshore(words);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(125);
  });
});

/** Resolves when a worker has a slot busy. */
async function runsSomewhere(): Promise<void> {
  for (;;) {
    const { stdout } = await commandLine.longshore(["workers", "--json"]);
    if (/"busy": [1-9]/.test(stdout.toString())) return;
  }
}

describe("longshore workers and images", () => {
  it("list who is alive and what there is", async () => {
    const workers = (await commandLine.longshore(["workers"])).stdout.toString();
    expect(workers).toMatch(
      /^WORKER +SLOTS BUSY +CGROUP +KERNEL +VOLUMES +IMAGES\n\S+ +\d+\/\d+ +v[12] +\S+ +- +.*python/,
    );
    const images = await commandLine.longshore(["images", "list"], {
      environment: { LONGSHORE_DATA: commandLine.installation.data.path },
    });
    expect(images.stdout.toString()).toMatch(/^python +sha256:[0-9a-f]{12} .*\d MB\b/m);
  });
});
