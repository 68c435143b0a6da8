/** What `longshore shard` prints in the end: what needs somebody's attention first, and the whole in the last line. */
import { styleText } from "node:util";
import { decodeContent } from "../../../shared/content.ts";
import type { FailedTest, LossReason, ShardReport, ShardResult } from "../../../shared/shard-result.ts";
import { printable } from "../report.ts";
import { describeCounts, seconds } from "./lines.ts";

/** Lines of a failure's details, or of what a command printed; the rest is in the report. */
const LINES_MAX = 30;

/** Lost items that are named one by one. */
const LOST_MAX = 20;

/** Only tests that take this long are worth a line, in milliseconds. */
const SLOW_MS = 100;

const lossReasons: Readonly<Record<LossReason, string>> = {
  not_reported: "the report does not have it",
  no_report: "there is no report that can be read",
  not_run: "its shard was stopped before",
  shard_failed: "its shard failed",
};

/** The whole summary, line by line. */
export function* summarize(result: ShardResult): Generator<string, void, void> {
  yield* describeBuild("setup", result.setup);
  yield* describeBuild("discover", result.discovery);
  for (const test of result.failures) yield* describeFailure(test);
  yield* leftOut(result.counts.failed + result.counts.errored - result.failures.length, "the report has all failures");
  for (const { id, message } of result.flaky) {
    yield `${paint("yellow", "flaky")}  ${printable(id)}: ${firstLine(message)}`;
  }
  for (const shard of result.shards) yield* describeBadRun(shard);
  for (const { item, shard, reason } of result.lost.slice(0, LOST_MAX)) {
    const place = shard === null ? "" : ` (shard ${shard})`;
    yield `${paint("red", "lost")}  ${printable(item)}${place}: ${lossReasons[reason]}`;
  }
  yield* leftOut(result.counts.lost - Math.min(LOST_MAX, result.lost.length), "--json has a thousand items");
  const slow = result.slowest.filter(({ timeMs }) => timeMs >= SLOW_MS);
  if (slow.length > 0) yield paint("bold", "slowest");
  for (const { id, timeMs } of slow) yield `  ${seconds(timeMs).padStart(9)}  ${printable(id)}`;
  if (result.shards.length > 0) yield paint("bold", "shards");
  for (const shard of result.shards) yield describeTime(shard);
  yield describeWhole(result);
}

function* describeBuild(
  name: string,
  build: Pick<NonNullable<ShardResult["setup"]>, "outcome" | "exitCode" | "stdout" | "stderr"> | null,
): Generator<string> {
  if (build === null || (build.outcome === "exited" && build.exitCode === 0)) return;
  const how = build.outcome === "exited" ? `exited with ${build.exitCode}` : build.outcome;
  yield `${paint("red", name)} ${how}`;
  yield* quote(`${decodeContent(build.stdout).toString()}\n${decodeContent(build.stderr).toString()}`);
}

function* describeFailure({ id, outcome, shard, runs, message, details }: FailedTest): Generator<string> {
  yield `${paint("red", outcome)}  ${printable(id)} (shard ${shard}${runs > 1 ? `, ${runs} runs` : ""})`;
  const isSaid = details.includes(message.trim());
  yield* quote(isSaid ? details : `${message}\n${details}`);
}

/** A shard that did not do its work says itself why; one with failed tests has said so by them. */
function* describeBadRun({ shard, counts, runs, stdout, stderr, error }: ShardReport): Generator<string> {
  const name = paint("red", `shard ${shard}`);
  if (error !== null) yield `${name} failed: ${printable(error.message)} (${error.code})`;
  const faults = new Set(runs.flatMap(({ fault }) => fault ?? []));
  for (const fault of faults) yield `${name} ${printable(fault)}`;
  const limits = runs.flatMap(({ outcome }) => (outcome === "exited" || outcome === "signaled" ? [] : [outcome]));
  for (const limit of new Set(limits)) yield `${name} ran into its ${limit}`;
  if (runs.length === 0 || (faults.size === 0 && counts.lost === 0)) return;
  yield `${name} printed`;
  yield* quote(`${decodeContent(stdout).toString()}\n${decodeContent(stderr).toString()}`);
}

const endings: Readonly<Record<ShardReport["state"], string>> = { done: "", failed: ", failed", canceled: ", stopped" };

function describeTime({ shard, state, wallTimeMs, expectedMs, items, counts, worker }: ShardReport): string {
  const expected = `${expectedMs === null ? "" : `, ${seconds(expectedMs)} expected`}${endings[state]}`;
  const place = worker === null ? "" : ` on ${printable(worker)}`;
  return `  ${seconds(wallTimeMs).padStart(9)}  shard ${shard}: ${items} items, ${counts.tests} tests${place}${expected}`;
}

function describeWhole({ outcome, message, counts, shards, evenness, timings, strategy }: ShardResult): string {
  const verdict = paint(outcome === "passed" ? "green" : "red", outcome);
  const even = evenness === null ? "" : `, evenness ${evenness.toFixed(2)}`;
  const split = `${shards.length} ${shards.length === 1 ? "shard" : "shards"} (${strategy})`;
  const tests = [`${counts.tests} tests`, describeCounts(counts)].filter((part) => part !== "").join(": ");
  const said = outcome === "passed" || message === "" ? "" : `; ${printable(message)}`;
  return `${verdict}  ${tests}; ${split} in ${seconds(timings.shardsMs)}${even}${said}`;
}

function* leftOut(count: number, where: string): Generator<string> {
  if (count > 0) yield `… and ${count} more: ${where}`;
}

/** With a bar before each line: no line of a test's begins one of ours, or a command to the CI system that shows it. */
function* quote(text: string): Generator<string> {
  const lines = text.trim().split(/\r?\n/);
  const head = Math.ceil(LINES_MAX / 2);
  const shown =
    lines.length <= LINES_MAX
      ? lines
      : [...lines.slice(0, head), `… ${lines.length - LINES_MAX} lines …`, ...lines.slice(head - LINES_MAX)];
  for (const line of shown) if (line !== "" || shown.length > 1) yield `  | ${printable(line)}`.trimEnd();
}

function firstLine(text: string): string {
  return printable(text.trim().split("\n", 1)[0] ?? "");
}

function paint(style: "red" | "green" | "yellow" | "bold", text: string): string {
  return styleText(style, text, { stream: process.stdout });
}
