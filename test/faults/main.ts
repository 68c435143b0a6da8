/**
 * `npm run test:faults -- [--minutes N] [--seed N] [--report FILE] [--logs DIRECTORY]`: breaks everything for some minutes (10 unless told)
 * and reports, as a table and as JSON. Exit code 1: something was lost, doubled, wrong or left behind.
 */
import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { parseMinutes, parseSeed } from "../../infra/options.ts";
import { isKept, runCampaign } from "./campaign.ts";
import { renderReport } from "./report.ts";

interface CommandLine {
  readonly minutes: number;
  readonly seed?: number;
  readonly report?: string;
  readonly logs?: string;
}

await new Command("test:faults")
  .description("break everything that can break under a load of jobs, and look whether each gets its one right result")
  .option("--minutes <n>", "for how long", parseMinutes, 10)
  .option("--seed <n>", "of what breaks when, to see the same again", parseSeed)
  .option("--report <file>", "write the report to a file, too")
  .option("--logs <directory>", "keep what the programs log")
  .action(breakEverything)
  .parseAsync();

async function breakEverything(options: CommandLine): Promise<void> {
  const { minutes, seed = randomInt(1_000_000), report: file, logs } = options;
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  say(`seed ${seed}: npm run test:faults -- --minutes ${minutes} --seed ${seed} does the same again`);
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => interrupted.abort(new Error(`ended by ${name}`)));
  }
  const report = await runCampaign({
    durationMs: minutes * 60_000,
    seed,
    say,
    ...(logs !== undefined && { logs }),
    signal: interrupted.signal,
  });
  const page = await renderReport(report, `npm run test:faults -- --minutes ${minutes}`);
  process.stdout.write(`${page}\n${JSON.stringify(report, null, 2)}\n`);
  if (file !== undefined) await writeFile(file, page);
  process.exitCode = isKept(report) ? 0 : 1;
}
