import type { Table } from "./report.ts";
import type { Statistics } from "./statistics.ts";

/** What figures are in. */
type Unit = "ms" | "×" | "jobs/s" | "MB" | "KB";

/** A figure made from what candidates' samples say. */
export interface Derived {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  readonly target: string;
  readonly verdict: "reached" | "missed" | "";
}

/** How samples make a figure, and what it should be. */
export interface Formula {
  readonly name: string;
  /** One candidate, or two: one less the other, or one over the other. */
  readonly of: readonly [string] | readonly [string, string];
  readonly kind: "figure" | "difference" | "ratio";
  /** What of their samples; the median when left out. */
  readonly at?: "median" | "p99";
  /** Milliseconds when left out; a ratio has none. */
  readonly unit?: Unit;
  readonly target?: { readonly kind: "at most" | "at least"; readonly value: number };
}

const warm = ["warm-readonly", "warm-writable"];
const cold = ["container-readonly", "container-writable"];
const whole = cold.map((name) => `${name}-whole`);

const atLeast = (value: number) => ({ kind: "at least", value }) as const;
const atMost = (value: number) => ({ kind: "at most", value }) as const;

const added = (names: readonly string[], target?: Formula["target"]): Formula[] =>
  names.map((name) => ({ name: `${name} − bare`, of: [name, "bare"], kind: "difference", ...(target && { target }) }));

const faster = (than: string, name: string, target?: Formula["target"]): Formula => ({
  name: `${than} ÷ ${name}`,
  of: [than, name],
  kind: "ratio",
  ...(target && { target }),
});

const comparison: readonly Formula[] = [
  ...added(warm, atMost(0.5)),
  ...added(cold, atMost(1.5)),
  ...added(whole),
  ...["warm-readonly", "container-readonly"].flatMap((name) => [
    faster("crun", name, atLeast(10)),
    faster("bubblewrap", name, atLeast(4)),
    faster("runc", name, atLeast(25)),
  ]),
  ...["crun", "bubblewrap", "runc"].map((other) => faster(other, "container-readonly-whole")),
  { name: "http − container-writable", of: ["http", "container-writable"], kind: "difference" },
  { name: "slot-writable − container-writable", of: ["slot-writable", "container-writable"], kind: "difference" },
];

/** What candidates say, alone or together, as far as all of a formula's were measured. */
export function derive(statistics: ReadonlyMap<string, Statistics>, formulas = comparison): Derived[] {
  return formulas.flatMap(({ name, of, kind, at = "median", unit = "ms", target }): Derived[] => {
    const [left, right = kind === "figure" ? 0 : undefined] = of.map((candidate) => statistics.get(candidate)?.[at]);
    if (left === undefined || right === undefined) return [];
    const figure =
      kind === "ratio" ? { name, value: left / right, unit: "×" as const } : { name, value: left - right, unit };
    if (target === undefined) return [{ ...figure, target: "", verdict: "" }];
    const isReached = target.kind === "at most" ? figure.value <= target.value : figure.value >= target.value;
    const sign = target.kind === "at most" ? "≤" : "≥";
    const verdict = isReached ? "reached" : "missed";
    return [{ ...figure, target: `${sign} ${target.value} ${figure.unit}`, verdict }];
  });
}

/** Figures for people, beside what they should be. */
export function tabulateDerived(derived: readonly Derived[]): Table {
  return {
    title: "Derived",
    columns: ["figure", "value", "target", ""],
    rows: derived.map(({ name, value, unit, target, verdict }) => ({
      name,
      cells: [`${value.toFixed(digitsOf(unit, value))} ${unit}`, target, verdict],
    })),
  };
}

/** Below 1, a ratio is a share, of which the first digit alone says too little. */
function digitsOf(unit: Unit, value: number): number {
  switch (unit) {
    case "ms":
      return 3;
    case "×":
      return value < 1 ? 2 : 1;
    case "MB":
      return 1;
    case "jobs/s":
    case "KB":
      return 0;
    default:
      return unit satisfies never;
  }
}
