import type { JudgeCase, JudgeRequest } from "../../../shared/judge-request.ts";
import type { JudgeCaseResult } from "../../../shared/judge-result.ts";
import type { UnfinishedOutcome } from "../container.ts";
import { type ContainerRunner, failed, type FurtherSlots } from "../context.ts";
import { CaseDataError, type CaseFiles } from "./case-files.ts";
import { caseResult, skippedResult } from "./case-result.ts";
import type { CaseRunner, JudgedRun } from "./case-run.ts";
import { Schedule } from "./schedule.ts";

/** What the cases of a job are run with. */
export interface CaseRunsOptions {
  readonly request: JudgeRequest;
  readonly runOnce: CaseRunner;
  readonly files: CaseFiles;
  /** The job's own slot. */
  readonly slot: ContainerRunner;
  /** Others, while they are free. */
  readonly slots: FurtherSlots;
  /** Told of each case as soon as its result is certain, in the order of the request. */
  readonly report: (result: JudgeCaseResult) => void;
}

/** A case that runs now. */
interface RunningCase {
  /** Resolves when nothing of it is left. */
  readonly done: Promise<void>;
  readonly stop: AbortController;
}

/** The cases of one job while they run. */
export class CaseRuns {
  readonly #options: CaseRunsOptions;
  readonly #schedule: Schedule;
  readonly #results = new Map<number, JudgeCaseResult>();
  readonly #running = new Map<number, RunningCase>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #ownSlot: "free" | "busy" = "free";
  #reported = 0;
  #ending: UnfinishedOutcome | undefined;

  constructor(options: CaseRunsOptions, signal: AbortSignal) {
    this.#options = options;
    this.#schedule = new Schedule(options.request);
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Runs all cases that are not skipped. @returns their results in the order of the request, or how the attempt ends */
  async runAll(): Promise<readonly JudgeCaseResult[] | UnfinishedOutcome> {
    try {
      while (!this.#signal.aborted && !(this.#schedule.isOver && this.#running.size === 0)) {
        while (this.#begin() === "begun");
        if (this.#running.size === 0) throw new Error("cases are left, and nothing that they wait for");
        await Promise.race(this.#allDone());
      }
    } finally {
      this.#stop.abort();
      await Promise.allSettled(this.#allDone());
    }
    if (this.#ending !== undefined) return this.#ending;
    if (!this.#schedule.isOver) return { kind: "canceled" };
    return this.#options.request.cases.map((judged, index) => this.#resultOf(judged, index));
  }

  #allDone(): Promise<void>[] {
    return [...this.#running.values()].map(({ done }) => done);
  }

  /** Begins one more case, where there is one that can be begun and a place for it. */
  #begin(): "begun" | "nothing to begin" {
    using undo = new DisposableStack();
    const place = this.#acquire();
    if (place === undefined) return "nothing to begin";
    undo.use(place);
    const index = this.#schedule.begin();
    const judged = index === undefined ? undefined : this.#options.request.cases[index];
    if (index === undefined || judged === undefined) return "nothing to begin";
    const held = undo.move();
    const stop = new AbortController();
    const done = this.#run(index, judged, place.slot, stop.signal).finally(() => {
      held.dispose();
      this.#running.delete(index);
    });
    this.#running.set(index, { done, stop });
    return "begun";
  }

  #acquire(): (Disposable & { readonly slot: ContainerRunner }) | undefined {
    if (this.#ownSlot === "busy") return this.#options.slots.tryAcquire();
    this.#ownSlot = "busy";
    return { slot: this.#options.slot, [Symbol.dispose]: () => void (this.#ownSlot = "free") };
  }

  async #run(index: number, judged: JudgeCase, slot: ContainerRunner, stopped: AbortSignal): Promise<void> {
    const runs = await this.#repeat(index, judged, slot, AbortSignal.any([this.#signal, stopped]));
    if ("kind" in runs) {
      // One that was stopped because it is skipped ends the attempt for nobody.
      if (runs.kind === "canceled" && stopped.aborted) return;
      this.#ending ??= runs;
      this.#stop.abort();
      return;
    }
    const result = caseResult(judged, runs);
    this.#results.set(index, result);
    const verdict = result.verdict === "accepted" ? "accepted" : "not accepted";
    for (const other of this.#schedule.settle(index, verdict)) this.#running.get(other)?.stop.abort();
    this.#reportSettled();
  }

  /** Runs a case as often as is asked for, or until it is not accepted. */
  async #repeat(
    index: number,
    judged: JudgeCase,
    slot: ContainerRunner,
    signal: AbortSignal,
  ): Promise<readonly [JudgedRun, ...JudgedRun[]] | UnfinishedOutcome> {
    const { files, runOnce, request } = this.#options;
    try {
      await using directory = await files.prepare(index, judged);
      const first = await runOnce(judged, directory, slot, signal);
      if (first.kind !== "judged") return first;
      const runs: [JudgedRun, ...JudgedRun[]] = [first];
      while (runs.length < request.repeat && runs.at(-1)?.judgement.verdict === "accepted") {
        const next = await runOnce(judged, directory, slot, signal);
        if (next.kind !== "judged") return next;
        runs.push(next);
      }
      return runs;
    } catch (error) {
      if (signal.aborted) return { kind: "canceled" };
      if (error instanceof CaseDataError) return failed("blob_unavailable", error.message, error.retry);
      throw error;
    }
  }

  #reportSettled(): void {
    for (; this.#reported < this.#schedule.settledInOrder; this.#reported++) {
      const judged = this.#options.request.cases[this.#reported];
      if (judged !== undefined) this.#options.report(this.#resultOf(judged, this.#reported));
    }
  }

  /** A case that was run ahead, and is skipped after all, was not run. */
  #resultOf(judged: JudgeCase, index: number): JudgeCaseResult {
    return (this.#schedule.isSkipped(index) ? undefined : this.#results.get(index)) ?? skippedResult(judged);
  }
}
