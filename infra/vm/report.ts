import { execFile } from "node:child_process";
import { promisify, stripVTControlCharacters } from "node:util";

/** A machine that has ended. */
export interface FinishedMachine {
  readonly exitCode: number;
  /** All that its console showed. */
  readonly printed: string;
}

/** A run that is over. */
export interface FinishedRun {
  /** What all machines together ran. */
  readonly command: readonly string[];
  readonly started: Date;
  readonly machines: readonly FinishedMachine[];
}

/** vitest's lines about a file (`✓ |integration| test/….test.ts (29 tests) 23519ms`), a test it failed, or skipped. */
const NOTABLE = /^ +(?:[✓❯] \|\w+\| |[×↓] )/u;

/** What the doctor prints of a machine. */
const FINDING = /^(?:ok|degraded|missing) {2,}\S|^ {28}\S/u;

/** What is kept of a run, as Markdown: where it took place, how it ended, and vitest's line about each file. */
export async function composeReport({ command, started, machines }: FinishedRun): Promise<string> {
  const printed = machines.map((machine) => stripVTControlCharacters(machine.printed).split(/\r?\n/));
  const lines = printed.flat();
  const facts = {
    date: started.toISOString().slice(0, 10),
    commit: await firstLine("git", "describe", "--always", "--dirty"),
    machine: lines.find((line) => /^linux \S+, /.test(line)) ?? "did not boot",
    emulator: await firstLine("qemu-system-x86_64", "--version"),
    command: `\`${command.join(" ")}\``,
    machines: String(machines.length),
    result: sumOf(printed),
    "exit codes": machines.map(({ exitCode }) => exitCode).join(", "),
    took: `${Math.ceil((Date.now() - started.getTime()) / 60_000)} min`,
  };
  return [
    "# The last run of `npm run test:v2` that was kept with `--report infra/vm/RESULT.md`",
    "",
    ...Object.entries(facts).map(([name, value]) => `- ${name}: ${value}`),
    "",
    "```",
    ...lines.filter((line) => NOTABLE.test(line)),
    "```",
    "",
    "What `longshore doctor` says of the machine:",
    "",
    "```",
    ...(printed[0] ?? []).filter((line) => FINDING.test(line)).map((line) => line.trimEnd()),
    "```",
    "",
  ].join("\n");
}

/** How many tests had which result, as the last line of each machine's tests has it: `179 passed, 0 failed, 1 skipped`. */
function sumOf(printed: readonly (readonly string[])[]): string {
  const sums = new Map<string, number>();
  for (const lines of printed) {
    const closing = lines.findLast((line) => /^\d+ passed, \d+ failed/.test(line));
    if (closing === undefined) return "a machine did not come to its end";
    for (const [, count, result = ""] of closing.matchAll(/(\d+) (\w+)/g)) {
      sums.set(result, (sums.get(result) ?? 0) + Number(count));
    }
  }
  return [...sums].map(([result, count]) => `${count} ${result}`).join(", ");
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
