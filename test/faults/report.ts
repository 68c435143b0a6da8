import { execFile } from "node:child_process";
import { cpus, release } from "node:os";
import { promisify } from "node:util";
import type { CampaignReport } from "./campaign.ts";

/** A campaign's report as a page of Markdown. */
export async function renderReport(report: CampaignReport, command: string): Promise<string> {
  const { jobs, executions, waits, violations } = report;
  const failed = Object.entries(jobs.failed).map(([code, count]) => `${count} ${code}`);
  const faults = Object.entries(report.faults).toSorted(([a], [b]) => a.localeCompare(b));
  const caused = faults.reduce((sum, [, count]) => sum + count.caused, 0);
  const ends = Object.entries(report.ownEnds).flatMap(([name, list]) =>
    list.length > 0 ? [`${name}: ${tally(list)}`] : [],
  );
  const remarks = [...report.notes, ...report.unexplainedEnds, ...report.leftovers];
  return [
    `# The last run of \`${command}\``,
    "",
    `- date: ${new Date().toISOString().slice(0, 10)}`,
    `- commit: ${await revision()}`,
    `- machine: linux ${release()}, ${cpus().length} processors`,
    `- seed: ${report.seed}, for ${report.seconds} s`,
    "",
    ...table(
      ["what", "count"],
      [
        ["jobs posted", jobs.posted],
        ["jobs accepted", jobs.accepted],
        ["… with the right result", jobs.done - violations.wrong],
        ["… failed with a reason, their retries used up", failed.length === 0 ? "0" : failed.join(", ")],
        ["faults", caused],
        ["retries (attempts beyond the first)", report.retries],
        ["programs begun, of jobs that take notes", executions.begun],
        ["… and completed", executions.completed],
        ["duplicates executed (completed more than once)", executions.duplicates],
        ["**duplicates reported**", violations.duplicatesReported],
        ["**lost**", violations.lost],
        ["**wrong results**", violations.wrong],
        ["**failed with retries left**", violations.failedEarly],
        ["**never accepted**", violations.neverAccepted],
        ["waits for a job", waits.asked],
        ["… answered with the job", waits.answered],
        ["… refused or cut off, as their API was down", waits.cutOff],
        ["… told to ask again (503, 429)", waits.refused],
        ["**waiters not answered**", violations.waitersUnanswered],
        ["**answers that no fault excuses**", violations.unexpectedAnswers],
        ["**ends of programs that no fault explains**", report.unexplainedEnds.length],
        ["**things left behind**", report.leftovers.length],
      ],
    ),
    "",
    ...table(
      ["fault", "caused", "nothing to hit"],
      faults.map(([name, count]) => [name, count.caused, count.missed]),
    ),
    "",
    `Ends that programs came to by themselves: ${ends.length === 0 ? "none" : ends.join("; ")}. A worker ends with exit code`,
    "1 when its data directory is deleted, or when it starts on a full disk; and the kernel kills one that has no memory.",
    ...(remarks.length > 0 ? ["", "```", ...remarks, "```"] : []),
    "",
  ].join("\n");
}

/** As prettier would write it. */
function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map(String));
  const widths = head.map((title, column) =>
    Math.max(title.length, 3, ...texts.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...texts.map(line)];
}

function tally(items: readonly string[]): string {
  const counts = Map.groupBy(items, (item) => item);
  return [...counts].map(([item, all]) => `${all.length} × ${item}`).join(", ");
}

/** A report is worth having also where the tree is not git's. */
async function revision(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("git", ["describe", "--always", "--dirty"]);
    return stdout.trim();
  } catch {
    return "unknown";
  }
}
