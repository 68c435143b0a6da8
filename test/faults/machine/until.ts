import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 50;

/**
 * Looks again and again until something is so. A look that fails counts as one that says no.
 * @throws when it is not so in time, naming it and why the last look failed
 */
export async function until(what: string, patienceMs: number, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let reason = "";
  for (;;) {
    try {
      if (await look()) return;
    } catch (error) {
      reason = `: ${String(error)}`;
    }
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}${reason}`);
    await delay(PAUSE_MS);
  }
}
