import type { Machine } from "./machine.ts";
import type { Plot } from "./plot.ts";
import type { Statistics } from "./statistics.ts";

/** A table of figures. */
export interface Table {
  readonly title: string;
  /** What the rows are, and what is in their cells. */
  readonly columns: readonly [string, ...string[]];
  readonly rows: readonly Row[];
}

/** A row of a {@link Table}. */
export interface Row {
  readonly name: string;
  readonly cells: readonly string[];
}

/** What a bench program has found out. */
export interface Findings {
  readonly tables: readonly Table[];
  /** What a reader has to know to judge the figures. */
  readonly notes: readonly string[];
  /** A picture of it. */
  readonly plot?: Plot;
  /** All of it for programs, with every sample. */
  readonly data: object;
}

/** Findings, and how they came about. */
export interface Report extends Findings {
  readonly program: string;
  readonly title: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly rounds: number;
  readonly warmUp: number;
  readonly machine: Machine;
}

/** A report in Markdown, its tables aligned for reading as they are. */
export function toMarkdown(report: Report): string {
  const { title, startedAt, rounds, warmUp, machine, tables, notes } = report;
  return [
    `# ${title}`,
    "",
    `${startedAt}, ${rounds} rounds after ${warmUp} to warm up, all candidates in every round, in random order.`,
    "",
    ...Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`),
    ...tables.flatMap((table) => ["", `## ${table.title}`, ""].concat(layOut(table))),
    ...(notes.length === 0 ? [] : ["", "## Notes", "", ...notes.map((note) => `- ${note}`)]),
    "",
  ].join("\n");
}

/** A report as JSON. */
export function toJson({ program, startedAt, rounds, warmUp, machine, notes, data }: Report): string {
  return `${JSON.stringify({ program, startedAt, rounds, warmUp, machine, notes, ...data }, undefined, 2)}\n`;
}

/** A table of what was measured, by name; `digits` are those after the point. */
export function tabulateStatistics(
  title: string,
  what: string,
  statistics: ReadonlyMap<string, Statistics>,
  digits: number,
): Table {
  const rows = [...statistics].map(([name, { rounds, median, p99, minimum, interquartileRange }]): Row => ({
    name,
    cells: [String(rounds)].concat([median, p99, minimum, interquartileRange].map((value) => value.toFixed(digits))),
  }));
  return { title, columns: [what, "rounds", "median", "p99", "min", "spread"], rows };
}

function layOut({ columns, rows }: Table): string[] {
  const lines = [columns, ...rows.map(({ name, cells }) => [name, ...cells])];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  const draw = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const pad = (line: readonly string[]): string =>
    draw(widths.map((width, index) => (index === 0 ? line[index]?.padEnd(width) : line[index]?.padStart(width)) ?? ""));
  const rule = draw(widths.map((width, index) => (index === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)));
  const [header = "", ...body] = lines.map(pad);
  return [header, rule, ...body];
}
