/** Options that several commands have, and what they are in a request. What the API checks is left to the API. */
import { limitNames, type LimitName } from "../../shared/limits.ts";

/** What the command line has of limits, under their own names. */
export type LimitOptions = Readonly<Partial<Record<LimitName, string>>>;

/** `cpuTimeMs` → `--cpu-time-ms`, which commander turns back into `cpuTimeMs`. */
export function limitOption(name: LimitName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** For an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** `NAME=VALUE` of each `--env`. */
export function describeEnvironment(assignments: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    assignments.map((assignment) => splitAtEquals(assignment, `--env ${assignment} is not NAME=VALUE`)),
  );
}

/** `DIGEST=PATH` of each `--layer`. */
export function describeLayers(layers: readonly string[] = []): { blob: string; at: string }[] {
  return layers.map((layer) => {
    const [blob, at] = splitAtEquals(layer, `--layer ${layer} is not DIGEST=PATH`);
    return { blob, at };
  });
}

/** The limits that were given. */
export function describeLimits(options: LimitOptions): Record<string, number> {
  const given = limitNames.flatMap((name) => {
    const text = options[name];
    return text === undefined ? [] : [[name, toNumber(text, limitOption(name))] as const];
  });
  return Object.fromEntries(given);
}

/** Throws for what is no number, with the option's name. */
export function toNumber(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`${option} ${text} is not a number`);
  return value;
}

function splitAtEquals(text: string, message: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals <= 0) throw new Error(message);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
