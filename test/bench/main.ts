/**
 * Measures Longshore on this machine: `npm run bench`, or `npm run bench -- PROGRAM`. The report goes to stdout, in
 * Markdown; progress and errors go to stderr. What a figure should be is part of the report, not of the exit code:
 * that says only whether everything could be measured.
 */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import type { BenchProgram } from "./bench-program.ts";
import { describeMachine } from "./machine.ts";
import { toSvg } from "./plot.ts";
import { programs } from "./programs/index.ts";
import { type Report, toJson, toMarkdown } from "./report.ts";
import { Workbench } from "./workbench.ts";

interface CommandLine {
  readonly rounds: number;
  readonly warmUp: number;
  readonly only?: readonly string[];
  readonly json?: string;
  readonly svg?: string;
}

// The defaults are measured, whatever the caller's environment says, but for where this machine's images are.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("LONGSHORE_") && name !== "LONGSHORE_DATA") delete process.env[name];
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => stopping.abort(new Error(`${signal}: stopped before the last round`)));
}

const command = new Command("bench").description("measure Longshore on this machine").helpCommand(false);
for (const [index, program] of programs.entries()) command.addCommand(commandOf(program), { isDefault: index === 0 });
try {
  await command.parseAsync();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

function commandOf(program: BenchProgram): Command {
  return new Command(program.name)
    .description(program.summary)
    .option("--rounds <n>", "rounds that count", parseCount, program.rounds?.count ?? 300)
    .option("--warm-up <n>", "rounds before the first that counts", parseCount, program.rounds?.warmUp ?? 20)
    .option("--only <names>", `measure only these, comma separated: ${program.subjects.join(", ")}`, (text: string) =>
      parseNames(text, program.subjects),
    )
    .option("--json <file>", "write the report, with every sample, to a file")
    .option("--svg <file>", "draw the report's plot, if it has one, into a file")
    .action((options: CommandLine) => measure(program, options));
}

async function measure(program: BenchProgram, { rounds, warmUp, only, json, svg }: CommandLine): Promise<void> {
  await using bench = await Workbench.open();
  const startedAt = new Date().toISOString();
  const machine = await describeMachine(bench);
  const findings = await program.run(bench, {
    rounds,
    warmUp,
    ...(only !== undefined && { only }),
    signal: stopping.signal,
    onRound: (done) => showProgress(done, rounds),
  });
  const report: Report = {
    program: program.name,
    title: program.title,
    startedAt,
    rounds,
    warmUp,
    machine,
    ...findings,
  };
  if (json !== undefined) await writeFile(json, toJson(report));
  process.stdout.write(toMarkdown(report));
  if (svg === undefined) return;
  if (report.plot === undefined) throw new Error(`bench ${program.name} has nothing to draw: leave --svg out`);
  await writeFile(svg, toSvg(report.plot));
}

/** One line that is written over; only for people. */
function showProgress(done: number, rounds: number): void {
  if (process.stderr.isTTY) process.stderr.write(done < rounds ? `\rround ${done} of ${rounds}` : "\r\u001b[K");
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError("it is not a whole number above 0");
  return count;
}

function parseNames(text: string, known: readonly string[]): readonly string[] {
  const names = text.split(",");
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new InvalidArgumentError(`there is no ${unknown.join(", ")}`);
  return names;
}
