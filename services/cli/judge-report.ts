/** What `longshore judge` prints: a line for each case as it comes, and one for the whole. */
import { styleText } from "node:util";
import * as z from "zod";
import { decodeContent } from "../../shared/content.ts";
import type { JudgeResult, Verdict } from "../../shared/judge-result.ts";
import { verdicts } from "../../shared/judge-result.ts";
import { printable } from "./report.ts";

/** As much of a case as a line shows; also what the API's events tell of it. */
export const caseLineSchema = z.object({
  name: z.string(),
  verdict: z.enum(verdicts),
  points: z.number(),
  pointsMax: z.number(),
  cpuTimeMs: z.number(),
  memoryPeakBytes: z.number(),
  message: z.string(),
});

export type CaseLine = z.infer<typeof caseLineSchema>;

const MiB = 1024 * 1024;

/** Columns of the longest verdict. */
const VERDICT_WIDTH = Math.max(...verdicts.map((verdict) => verdict.length));

/** How much of what a checker says has its place in a line. */
const MESSAGE_CHARACTERS = 100;

/** Prints each case once, however often it is told of: a worker that is lost is succeeded by another one. */
export class JudgeReport {
  readonly #printed = new Set<string>();
  readonly #nameWidth: number;

  constructor(names: readonly string[]) {
    this.#nameWidth = Math.max(...names.map((name) => name.length));
  }

  case({ name, verdict, points, pointsMax, cpuTimeMs, memoryPeakBytes, message }: CaseLine): void {
    if (this.#printed.has(name)) return;
    this.#printed.add(name);
    const figures =
      verdict === "skipped" ? "" : `${Math.round(cpuTimeMs)} ms  ${(memoryPeakBytes / MiB).toFixed(1)} MiB  `;
    const share = verdict === "partially_correct" ? `${points} of ${pointsMax} points  ` : "";
    const [remark = ""] = message.slice(0, MESSAGE_CHARACTERS).split("\n");
    const line = `${printable(name).padEnd(this.#nameWidth)}  ${paint(verdict)}  ${figures}${share}${printable(remark)}`;
    process.stdout.write(`${line.trimEnd()}\n`);
  }

  /** The cases that nobody has told of yet, and the whole. */
  result(result: JudgeResult): void {
    for (const { usage, ...judged } of result.cases) this.case({ ...usage, ...judged });
    const { builds, verdict, message, points, pointsMax, usage } = result;
    for (const [name, build] of Object.entries(builds)) {
      if (build === null || (build.outcome === "exited" && build.exitCode === 0)) continue;
      process.stderr.write(`${name}:\n`);
      for (const output of [build.stdout, build.stderr]) process.stderr.write(decodeContent(output));
    }
    const said = verdict === "accepted" || message === "" ? "" : `: ${printable(message.slice(0, MESSAGE_CHARACTERS))}`;
    const figures = `${Math.round(usage.cpuTimeMs)} ms, ${(usage.memoryPeakBytes / MiB).toFixed(1)} MiB`;
    process.stdout.write(`${paint(verdict).trimEnd()}, ${points} of ${pointsMax} points, ${figures}${said}\n`);
  }
}

function paint(verdict: Verdict): string {
  const color = verdict === "accepted" ? "green" : verdict === "skipped" ? "dim" : "red";
  return styleText(color, verdict.padEnd(VERDICT_WIDTH), { stream: process.stdout });
}
