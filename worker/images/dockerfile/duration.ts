const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/**
 * A duration such as `1m30s`, as Go's time.ParseDuration reads it, in nanoseconds.
 * @throws {SyntaxError}
 */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (text === "" || parts.map(([part]) => part).join("") !== text) {
    throw new SyntaxError(`${text} is not a duration: write 30s, 1m30s or 500ms`);
  }
  return Math.round(parts.reduce((sum, [, count, unit]) => sum + Number(count) * (NANOSECONDS[unit ?? ""] ?? 0), 0));
}
