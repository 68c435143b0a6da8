import type { Property, SuiteFacts } from "./test-case.ts";

/** Properties of one suite: shards may each say something else. */
const PROPERTIES_MAX = 1000;

/**
 * What several reports say of suites, by name: when the first of them began, where that was, and everything else that any
 * of them says, once.
 */
export function mergeSuites(suites: Iterable<SuiteFacts>): ReadonlyMap<string, SuiteFacts> {
  const merged = new Map<string, SuiteFacts>();
  for (const [name, same] of Map.groupBy(suites, (suite) => suite.name)) {
    const first = same.reduce((earliest, suite) => (beginOf(suite) < beginOf(earliest) ? suite : earliest));
    merged.set(name, {
      name,
      timestamp: first.timestamp,
      hostname: first.hostname ?? same.find(({ hostname }) => hostname !== null)?.hostname ?? null,
      properties: distinct(same.flatMap(({ properties }) => properties)),
    });
  }
  return merged;
}

/** In milliseconds; what does not tell comes last. */
function beginOf({ timestamp }: SuiteFacts): number {
  const begin = timestamp === null ? Number.NaN : Date.parse(timestamp);
  return Number.isNaN(begin) ? Infinity : begin;
}

function distinct(properties: readonly Property[]): Property[] {
  const byText = new Map(properties.map((property) => [JSON.stringify([property.name, property.value]), property]));
  return [...byText.values()].slice(0, PROPERTIES_MAX);
}
