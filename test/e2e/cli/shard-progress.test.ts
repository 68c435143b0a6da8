/** What `longshore shard` shows while a suite runs: in a log, and in a terminal. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RUNNER, testFile } from "../../integration/shard/suite.ts";
import { type CommandLine, startCommandLine } from "../../support/command-line.ts";

let commandLine: CommandLine;

const good = testFile({ test_one: "print('in the test', flush=True)", test_two: "pass" });
const slow = testFile({ test_slow: "print('taking its time', end='', flush=True); time.sleep(300)" });

beforeAll(async () => {
  commandLine = await startCommandLine(["python"]);
  await commandLine.write({
    "suite/run.py": RUNNER,
    "suite/tests/test_a.py": good,
    "suite/tests/test_b.py": good,
    "slow/run.py": RUNNER,
    "slow/tests/test_slow.py": slow,
  });
});
afterAll(() => commandLine[Symbol.asyncDispose]());

const RUN = ["--", "python3", "run.py", "/out/junit.xml", "{items}"];
const DISCOVER = ["--discover", "python3 run.py --list"];

const shard = (words: readonly string[]) =>
  commandLine.longshore(["shard", "--image", "python", ...words, ...RUN], {
    directory: join(commandLine.directory, "suite"),
  });

/** Runs the command in a terminal of a hundred columns, and presses Ctrl-C as soon as it shows something. */
async function inTerminal(checkout: string, words: readonly string[], seen: RegExp) {
  const cli = join(import.meta.dirname, "../../../services/cli/longshore.ts");
  const command = [process.execPath, cli, "shard", "--image", "python", ...words, ...RUN];
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["-qec", `stty cols 100 rows 30; exec ${quoted}`, "/dev/null"], {
    cwd: join(commandLine.directory, checkout),
    env: { ...process.env, TERM: "xterm", LONGSHORE_URL: commandLine.installation.api.url },
  });
  let shown = "";
  child.stdout.on("data", (bytes: Buffer) => {
    const wasSeen = seen.test(stripVTControlCharacters(shown));
    shown += bytes.toString();
    if (!wasSeen && seen.test(stripVTControlCharacters(shown))) child.stdin.write("\u0003");
  });
  const [exitCode] = (await once(child, "close")) as [number];
  return { exitCode, shown: stripVTControlCharacters(shown).replaceAll("\r", "") };
}

describe("longshore shard in a log", () => {
  it("tells when set-up, discovery and each shard begin and end", async () => {
    const words = ["--shards", "2", "--setup", `echo fetching; echo ${process.pid} >made`, ...DISCOVER];
    const { exitCode, stderr } = await shard(words);
    expect(exitCode).toBe(0);
    const lines = stderr.split("\n").filter((line) => !line.startsWith("longshore:"));
    expect(lines[0]).toMatch(/^setup {6}running {3}0\.00 s {2}\S+$/);
    expect(lines[1]).toMatch(/^setup {6}done {6}\d\.\d\d s {2}\S+$/);
    expect(lines[2]).toMatch(/^discover {3}running /);
    expect(lines[3]).toMatch(/^discover {3}done {6}4 items {2}[\d.]+ s {2}\S+$/);
    const shards = lines.slice(4, -1).map((line) => line.split(/ {2,}/).slice(0, 2).join(" "));
    const story = ["shard 1/2 done", "shard 1/2 running", "shard 2/2 done", "shard 2/2 running"];
    expect(shards.toSorted()).toEqual(story);
    expect(stderr).not.toContain("fetching");

    const again = await shard(words);
    expect(again.stderr).toMatch(/^setup {6}done {6}cached {2}[\d.]+ s {2}\S+$/m);
  });

  it("shows with --verbose what each of them prints, with its name in front", async () => {
    const setup = `echo fetching; echo 'not found' >&2; echo verbose ${process.pid} >made`;
    const { exitCode, stdout, stderr } = await shard(["--verbose", "--json", "--setup", setup, ...DISCOVER]);
    expect(exitCode).toBe(0);
    const lines = stderr.split("\n");
    expect(lines).toContain("setup | fetching");
    expect(lines).toContain("setup | not found");
    expect(lines).toContain("discover | tests/test_a.py::Tests::test_one");
    expect(lines.filter((line) => /^shard \d \| in the test$/.test(line))).toHaveLength(2);
    expect(lines.indexOf("setup | fetching")).toBeLessThan(lines.findIndex((line) => /^setup +done /.test(line)));
    // What is for programs to read has nothing of it.
    expect(JSON.parse(stdout.toString())).toMatchObject({ state: "done" });
  });

  it("tells that the set-up has failed, and what it printed", async () => {
    const { exitCode, stdout, stderr } = await shard(["--setup", "echo no such package; exit 3", ...DISCOVER]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^setup {6}failed {4}[\d.]+ s {2}\S+$/m);
    expect(stdout.toString()).toMatch(/^setup exited with 3\n {2}\| no such package\n/);
  });
});

describe("longshore shard in a terminal", () => {
  it("has a line for the set-up that changes, with what it printed last", async () => {
    const words = ["--setup", "echo one; printf two; sleep 300", "--wall-time-ms", "300000", ...DISCOVER];
    const { exitCode, shown } = await inTerminal("slow", words, /^setup {6}running {3}[\d.]+ s {2}\S+ {2}\| two/m);
    expect(shown).toMatch(/canceling job/);
    expect(exitCode).toBe(130);
  });

  it("has one for the discovery, and one for each shard", async () => {
    const words = ["--wall-time-ms", "300000", ...DISCOVER];
    const { exitCode, shown } = await inTerminal("slow", words, /running .* \| taking its time/);
    expect(shown).toMatch(/canceling job/);
    expect(shown).toMatch(/^discover {3}done {6}1 items {2}[\d.]+ s {2}\S+$/m);
    expect(shown).toMatch(/shard 1\/1 {2}running {3}0 of 1 items {2}[\d.]+ s {2}\S+ {2}\| taking its time$/m);
    expect(exitCode).toBe(130);
  });
});
