/** What one check of the machine found. */
export type Finding =
  | {
      readonly name: string;
      readonly status: "ok";
      /** What is there, e.g. a version. */
      readonly detail: string;
    }
  | {
      readonly name: string;
      /** `degraded`: containers run, with less; `missing`: they do not run. */
      readonly status: "degraded" | "missing";
      readonly detail: string;
      /** What does not work, or works less well. */
      readonly effect: string;
      readonly wayOut: string;
    };

/** A check that is fine. */
export function ok(name: string, detail: string): Finding {
  return { name, status: "ok", detail };
}

/** Something is there in part: `effect` says what containers lose. */
export function degraded(name: string, detail: string, effect: string, wayOut: string): Finding {
  return { name, status: "degraded", detail, effect, wayOut };
}

/** Something that no container runs without is not there. */
export function missing(name: string, detail: string, wayOut: string): Finding {
  return { name, status: "missing", detail, effect: "no container can run", wayOut };
}
