import type { Table } from "./report.ts";
import type { Statistics } from "./statistics.ts";

/** A figure made from the medians of several candidates. */
export interface Derived {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "×";
  readonly target: string;
  readonly verdict: "reached" | "missed" | "";
}

/** How two medians make a figure, and what it should be. */
export interface Formula {
  readonly name: string;
  readonly of: readonly [string, string];
  readonly kind: "difference" | "ratio";
  readonly target?: { readonly kind: "at most" | "at least"; readonly value: number };
}

const MOST_ADDED_BY_CONTAINER = { kind: "at most", value: 2.5 } as const;
const LEAST_FASTER_THAN_CRUN = { kind: "at least", value: 4 } as const;
const MOST_ADDED_BY_HTTP = { kind: "at most", value: 6 } as const;

const containers = ["container-readonly", "container-writable"].flatMap((name) => [name, `${name}-whole`]);

const comparison: readonly Formula[] = [
  ...containers.map((name): Formula => ({
    name: `${name} − bare`,
    of: [name, "bare"],
    kind: "difference",
    target: MOST_ADDED_BY_CONTAINER,
  })),
  ...containers.map((name): Formula => ({
    name: `crun ÷ ${name}`,
    of: ["crun", name],
    kind: "ratio",
    target: LEAST_FASTER_THAN_CRUN,
  })),
  {
    name: "http − container-writable",
    of: ["http", "container-writable"],
    kind: "difference",
    target: MOST_ADDED_BY_HTTP,
  },
  { name: "slot-writable − container-writable", of: ["slot-writable", "container-writable"], kind: "difference" },
  { name: "runc ÷ container-readonly-whole", of: ["runc", "container-readonly-whole"], kind: "ratio" },
  { name: "bubblewrap ÷ container-readonly-whole", of: ["bubblewrap", "container-readonly-whole"], kind: "ratio" },
];

/** What the medians say together, as far as both of a formula's candidates were measured; all in milliseconds. */
export function derive(statistics: ReadonlyMap<string, Statistics>, formulas = comparison): Derived[] {
  return formulas.flatMap(({ name, of, kind, target }): Derived[] => {
    const [left, right] = of.map((candidate) => statistics.get(candidate)?.median);
    if (left === undefined || right === undefined) return [];
    const value = kind === "difference" ? left - right : left / right;
    const unit = kind === "difference" ? "ms" : "×";
    if (target === undefined) return [{ name, value, unit, target: "", verdict: "" }];
    const isReached = target.kind === "at most" ? value <= target.value : value >= target.value;
    const sign = target.kind === "at most" ? "≤" : "≥";
    return [
      { name, value, unit, target: `${sign} ${target.value} ${unit}`, verdict: isReached ? "reached" : "missed" },
    ];
  });
}

/** Figures for people, beside what they should be. */
export function tabulateDerived(derived: readonly Derived[]): Table {
  return {
    title: "Derived",
    columns: ["figure", "value", "target", ""],
    rows: derived.map(({ name, value, unit, target, verdict }) => ({
      name,
      cells: [`${value.toFixed(unit === "ms" ? 3 : 1)} ${unit}`, target, verdict],
    })),
  };
}
