import type { Candidate } from "./candidate.ts";

/** The floor: what running the program takes without any isolation. */
export const bare: Candidate = {
  name: "bare",
  measures: "posix_spawn of the program, until it is reaped",
  lacks: "any isolation, pipes for its output",
  async open({ bench, spawner }) {
    return { kind: "ready", measure: () => spawner.time({ command: [bench.program] }) };
  },
};
