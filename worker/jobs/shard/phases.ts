/** What comes before the shards, one phase after the other: timed, and told to those who watch the job. */
import type { PhaseEvent } from "../../../shared/shard-result.ts";
import type { OutputWatch } from "../../container/output-watch.ts";
import type { Progress } from "../progress.ts";

/** What is shown of each stream of a phase while it runs, in bytes. */
const WATCHED_BYTES = 1024 * 1024;

/** What is known of a phase when it has ended; of one without an ending of its own, nothing is told. */
type PhaseEnding =
  | { readonly kind: "set up"; readonly result: { readonly cached: boolean } }
  | { readonly kind: "discovered"; readonly items: readonly string[] }
  | { readonly kind: "not set up" | "not discovered" }
  | { readonly kind: "failed" | "canceled" };

export class Phases {
  /** What each took, in milliseconds. */
  readonly laps: { setupMs?: number; discoverMs?: number } = {};
  readonly #worker: string;
  readonly #progress: Progress;

  constructor(worker: string, progress: Progress) {
    this.#worker = worker;
    this.#progress = progress;
  }

  /** @param work gets who is to be shown what its container prints */
  async run<Ending extends PhaseEnding>(
    phase: PhaseEvent["phase"],
    work: (output: OutputWatch) => Promise<Ending>,
  ): Promise<Ending> {
    const beganMs = performance.now();
    this.#tell({ phase, state: "running", items: null, cached: false, wallTimeMs: 0 });
    const ending = await work(this.#progress.outputOf({ phase }, WATCHED_BYTES));
    const wallTimeMs = Math.round((performance.now() - beganMs) * 1e3) / 1e3;
    this.laps[`${phase}Ms`] = wallTimeMs;
    const ended = { phase, items: null, cached: false, wallTimeMs };
    switch (ending.kind) {
      case "set up":
        this.#tell({ ...ended, state: "done", cached: ending.result.cached });
        break;
      case "discovered":
        this.#tell({ ...ended, state: "done", items: ending.items.length });
        break;
      case "not set up":
      case "not discovered":
        this.#tell({ ...ended, state: "failed" });
        break;
      case "failed":
      case "canceled":
        break;
      default:
        ending satisfies never;
    }
    return ending;
  }

  #tell(event: Omit<PhaseEvent, "worker">): void {
    this.#progress.report({ name: "phase", data: { ...event, worker: this.#worker } });
  }
}
