import { execFile } from "node:child_process";
import { promisify, stripVTControlCharacters } from "node:util";

/** A run of the machine that is over. */
export interface FinishedRun {
  readonly command: readonly string[];
  readonly started: Date;
  readonly exitCode: number;
  /** All that its console showed. */
  readonly printed: string;
}

/** vitest's lines about a file (`✓ |integration| test/….test.ts (29 tests) 23519ms`), a test it failed, or skipped. */
const NOTABLE = /^ +(?:[✓❯] \|\w+\| |[×↓] )/u;

/** What is kept of a run, as Markdown: where it took place, how it ended, and vitest's line about each file. */
export async function composeReport({ command, started, exitCode, printed }: FinishedRun): Promise<string> {
  const lines = stripVTControlCharacters(printed).split(/\r?\n/);
  const facts = {
    date: started.toISOString().slice(0, 10),
    commit: await firstLine("git", "describe", "--always", "--dirty"),
    machine: lines.find((line) => /^linux \S+, /.test(line)) ?? "did not boot",
    emulator: await firstLine("qemu-system-x86_64", "--version"),
    command: `\`${command.join(" ")}\``,
    result: lines.findLast((line) => /^\d+ passed, \d+ failed/.test(line)) ?? "no tests",
    "exit code": String(exitCode),
    took: `${Math.ceil((Date.now() - started.getTime()) / 60_000)} min`,
  };
  return [
    "# The last run of `npm run test:v2 -- --report infra/vm/RESULT.md`",
    "",
    ...Object.entries(facts).map(([name, value]) => `- ${name}: ${value}`),
    "",
    "```",
    ...lines.filter((line) => NOTABLE.test(line)),
    "```",
    "",
  ].join("\n");
}

/** A report of a long run is worth having also where the tree is not git's. */
async function firstLine(command: string, ...words: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, words);
    return stdout.split("\n", 1)[0] ?? "";
  } catch {
    return "unknown";
  }
}
