/**
 * `npm run test:faults -- [--minutes N] [--seed N] [--report FILE] [--logs DIRECTORY]`: breaks everything for some minutes (10 unless told)
 * and reports, as a table and as JSON. Exit code 1: something was lost, doubled, wrong or left behind.
 */
import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { isKept, runCampaign } from "./campaign.ts";
import { renderReport } from "./report.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(randomInt(1_000_000)) },
    report: { type: "string" },
    logs: { type: "string" },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write("faults: --minutes is a number above 0, and --seed a whole one\n");
  process.exit(2);
}

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
  logs: values.logs,
  signal: interrupted.signal,
});
const page = await renderReport(report, `npm run test:faults -- --minutes ${minutes}`);
process.stdout.write(`${page}\n${JSON.stringify(report, null, 2)}\n`);
if (values.report !== undefined) await writeFile(values.report, page);
process.exitCode = isKept(report) ? 0 : 1;
