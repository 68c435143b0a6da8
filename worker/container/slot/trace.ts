/**
 * Where a container's time goes, for whoever measures: two diagnostics channels of the slot's thread. A channel that
 * nobody has subscribed to publishes with an empty function.
 */
import { channel } from "node:diagnostics_channel";
import type { Plan } from "../plan/plan.ts";
import type { Inspection } from "./launcher.ts";

/**
 * What a slot does for a container, in this order. One that waited for its job has none of the first four: they are over
 * before it has. What is tidied up comes after the result, and is none of these.
 */
export type SlotPhase =
  /** There is a sandbox: one that waited, as a rule. */
  | "sandbox"
  /** The preparation is planned. */
  | "plan"
  /** The slot's own steps of it are executed. */
  | "slot steps"
  /** It is encoded, and init has it. */
  | "preparation"
  /** The cgroup is limited. */
  | "limits"
  /** The release is planned, and the job's files are written. */
  | "files"
  /** The streams are open, and init has them. */
  | "release"
  /** The launcher has made init and is reaped. */
  | "launcher"
  /** The container has ended. */
  | "supervise"
  /** init is reaped, its notes are read, pipes are closed. */
  | "reap"
  /** The cgroup's account is read. */
  | "usage"
  /** Outputs are collected and the result is composed. */
  | "collect";

/** A container that is over, as its processes left the plan. */
export interface TracedExecution {
  readonly plan: Plan;
  readonly inspection: Inspection;
}

const phases = channel("longshore:slot-phase");
const executions = channel("longshore:execution");

/** Says that a phase is over. */
export function tracePhase(phase: SlotPhase): void {
  phases.publish(phase);
}

/** Shows a container that is over. */
export function traceExecution(plan: Plan, inspection: Inspection): void {
  if (executions.hasSubscribers) executions.publish({ plan, inspection } satisfies TracedExecution);
}

/** Listens to the containers of this thread until the answer is disposed of. */
export function subscribeToTrace(listener: {
  readonly phaseEnded: (phase: SlotPhase) => void;
  readonly executed: (execution: TracedExecution) => void;
}): Disposable {
  const onPhase = (message: unknown): void => listener.phaseEnded(message as SlotPhase);
  const onExecution = (message: unknown): void => listener.executed(message as TracedExecution);
  phases.subscribe(onPhase);
  executions.subscribe(onExecution);
  return {
    [Symbol.dispose]() {
      phases.unsubscribe(onPhase);
      executions.unsubscribe(onExecution);
    },
  };
}
