/**
 * Which case is next, and which are skipped: decided from verdicts alone, so that it is the same on every worker and with
 * any number of slots.
 *
 *   waiting ──▶ running ──▶ accepted | not accepted
 *      └──────────┴────────────┴───▶ skipped: by stopOn, or as a group was not accepted that theirs depends on
 *
 * Cases are begun in their order, and ahead of what is not known yet: a case that turns out to come after a failure is
 * skipped, whatever became of it. A group's dependencies have all of their cases before its own.
 */
import type { JudgeRequest } from "../../../shared/judge-request.ts";

/** What the order of the cases depends on. */
export interface ScheduledRequest extends Pick<JudgeRequest, "stopOn"> {
  readonly cases: readonly { readonly group?: string | undefined }[];
  readonly groups: readonly { readonly name: string; readonly dependsOn: readonly string[] }[];
}

/** What is known of a case. */
type CaseState = "waiting" | "running" | "accepted" | "not accepted" | "skipped";

/** What is known of a group's cases. */
interface GroupState {
  /** Neither accepted nor lost. */
  open: number;
  /** Index of the first that was not accepted, or skipped. */
  firstLost: number;
}

export class Schedule {
  readonly #request: ScheduledRequest;
  readonly #states: CaseState[];
  readonly #groups = new Map<string, GroupState>();
  readonly #dependencies: ReadonlyMap<string, readonly string[]>;
  /** Index of the first case that was not accepted. */
  #firstFailure = Infinity;

  constructor(request: ScheduledRequest) {
    this.#request = request;
    this.#states = request.cases.map(() => "waiting");
    this.#dependencies = new Map(request.groups.map(({ name, dependsOn }) => [name, dependsOn]));
    for (const { group } of request.cases) {
      if (group === undefined) continue;
      const state = this.#groups.get(group) ?? { open: 0, firstLost: Infinity };
      state.open++;
      this.#groups.set(group, state);
    }
  }

  /** Whether nothing is left to be run, nor running. */
  get isOver(): boolean {
    return this.#states.every((state) => state !== "waiting" && state !== "running");
  }

  /** How many cases are settled from the first one on: nothing changes about these any more. */
  get settledInOrder(): number {
    const next = this.#states.findIndex((state) => state === "waiting" || state === "running");
    return next < 0 ? this.#states.length : next;
  }

  /** Begins the next case that can be begun now; undefined when there is none. */
  begin(): number | undefined {
    const next = this.#states.findIndex((state, index) => state === "waiting" && this.#canBegin(index));
    if (next < 0) return undefined;
    this.#states[next] = "running";
    return next;
  }

  /**
   * Says what became of a case that was running.
   * @returns those that need not go on: they are skipped
   */
  settle(index: number, verdict: "accepted" | "not accepted"): number[] {
    if (this.#states[index] !== "running") return [];
    this.#set(index, verdict);
    if (verdict === "accepted") return [];
    const stopped: number[] = [];
    for (let other = index + 1; other < this.#states.length; other++) {
      const state = this.#states[other];
      if (state === "skipped" || !this.#mustSkip(other)) continue;
      if (state === "running") stopped.push(other);
      this.#set(other, "skipped");
    }
    return stopped;
  }

  isSkipped(index: number): boolean {
    return this.#states[index] === "skipped";
  }

  #set(index: number, state: "accepted" | "not accepted" | "skipped"): void {
    const before = this.#states[index];
    this.#states[index] = state;
    if (state === "not accepted") this.#firstFailure = Math.min(this.#firstFailure, index);
    const group = this.#groups.get(this.#request.cases[index]?.group ?? "");
    if (group === undefined) return;
    if (before === "waiting" || before === "running") group.open--;
    if (state !== "accepted") group.firstLost = Math.min(group.firstLost, index);
  }

  #canBegin(index: number): boolean {
    return this.#dependenciesOf(index).every((group) => group.open === 0 && group.firstLost === Infinity);
  }

  /** Only cases before a case decide: so those that come later, and ran earlier, change nothing. */
  #mustSkip(index: number): boolean {
    if (this.#dependenciesOf(index).some((group) => group.firstLost < Infinity)) return true;
    const { stopOn, cases } = this.#request;
    switch (stopOn) {
      case "never":
        return false;
      case "first-failure":
        return this.#firstFailure < index;
      case "group-failure":
        return (this.#groups.get(cases[index]?.group ?? "")?.firstLost ?? Infinity) < index;
      default:
        return stopOn satisfies never;
    }
  }

  #dependenciesOf(index: number): GroupState[] {
    const names = this.#dependencies.get(this.#request.cases[index]?.group ?? "") ?? [];
    return names.flatMap((name) => this.#groups.get(name) ?? []);
  }
}
