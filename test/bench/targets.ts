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
  faster("crun", "warm-readonly", atLeast(10)),
  faster("bubblewrap", "warm-readonly", atLeast(4)),
  faster("runc", "warm-readonly", atLeast(25)),
  ...[...cold, ...whole].map((name) => faster("crun", name, atLeast(4))),
  faster("bubblewrap", "container-readonly-whole"),
  faster("runc", "container-readonly-whole"),
  {
    name: "http − container-writable",
    of: ["http", "container-writable"],
    kind: "difference",
    target: atMost(6),
  },
  { name: "slot-writable − container-writable", of: ["slot-writable", "container-writable"], kind: "difference" },
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
      cells: [`${value.toFixed(digitsOf(unit, value))} ${unit}`, target, verdict],
    })),
  };
}

/** Below 1, a ratio is a share, of which the first digit alone says too little. */
function digitsOf(unit: Derived["unit"], value: number): number {
  return unit === "ms" ? 3 : value < 1 ? 2 : 1;
}
