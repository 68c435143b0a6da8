/** On a machine that has more to do than tests; no measure of anything. */
const USUAL_MS = 180_000;

/** How long a test may take, in milliseconds. An emulated machine needs more: TEST_PATIENCE_MS says how much. */
export const PATIENCE_MS = Number(process.env["TEST_PATIENCE_MS"] ?? USUAL_MS);

/** A time that suffices usually, in milliseconds; on a machine that needs more patience as many times as much. */
export function patiently(ms: number): number {
  return Math.ceil((ms * PATIENCE_MS) / USUAL_MS);
}

/** The limits that a job has by itself, for programs that have to come to their end, on such a machine, too. */
export const PATIENT_LIMITS = { cpuTimeMs: patiently(5000), wallTimeMs: patiently(10_000) } as const;
