/**
 * One container on one time line: what its slot did, by the monotonic clock, and what its processes did, by the
 * time-stamp counter. The plan has a step that reads the monotonic clock (`rooms.started`): it ties the two together.
 */
import type { Plan } from "../../worker/container/plan/plan.ts";
import type { Actor, Purpose } from "../../worker/container/plan/step.ts";
import type { Inspection } from "../../worker/container/slot/launcher.ts";
import { type SlotPhase, subscribeToTrace } from "../../worker/container/slot/trace.ts";

/** What the program does, as seen by init's wait4. */
export const PROGRAM = "program: execve until reaped";

/** A moment on both clocks. */
export interface Anchor {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly nanoseconds: bigint;
  /** The time-stamp counter. */
  readonly ticks: bigint;
}

/** When a step of the plan had returned. */
export interface StepObservation {
  /** Process and purpose; or the program's life, from execve until init has reaped it. */
  readonly part: `${Actor}: ${Purpose}` | typeof PROGRAM;
  /** Ticks since the anchor; negative before it. */
  readonly ticks: number;
}

/** When a phase of the slot's was over. */
export interface PhaseObservation {
  readonly phase: SlotPhase | "tidy";
  /** Nanoseconds since the container began. */
  readonly nanoseconds: number;
}

/** One container. Plain data: it crosses a thread border. */
export interface Observation {
  /** When the container began, in nanoseconds of CLOCK_MONOTONIC. */
  readonly began: bigint;
  readonly anchor: Anchor;
  readonly phases: readonly PhaseObservation[];
  /** Those that the result waits for, in the order in which they returned. */
  readonly steps: readonly StepObservation[];
}

/** Runs a container and tidies up after it, and tells what happened when. */
export function observeContainer(run: () => void, tidy: () => void): Observation {
  const phases: PhaseObservation[] = [];
  let executed: Omit<Observation, "began" | "phases"> | undefined;
  const began = process.hrtime.bigint();
  const end = (phase: PhaseObservation["phase"]): void => {
    phases.push({ phase, nanoseconds: Number(process.hrtime.bigint() - began) });
  };
  const subscription = subscribeToTrace({
    phaseEnded: end,
    executed: ({ plan, inspection }) => {
      executed = readSteps(plan, inspection);
    },
  });
  try {
    run();
  } finally {
    subscription[Symbol.dispose]();
  }
  tidy();
  end("tidy");
  if (executed === undefined) throw new Error("the container was over before its plan was executed");
  return { began, phases, ...executed };
}

function readSteps(plan: Plan, inspection: Inspection): Omit<Observation, "began" | "phases"> {
  const clocks = inspection.clocks();
  const anchor = readAnchor(plan, inspection, clocks);
  const fork = clocks.findIndex(({ step }) => step.actor === "init" && step.control.kind === "fork");
  const wait = clocks.findIndex(({ step }) => step.control.kind === "until");
  // While the payload begins, init makes ready to wait for it: nobody waits for that.
  const isBeside = (actor: Actor, index: number): boolean => actor === "init" && index > fork && index < wait;
  const steps = clocks.flatMap(({ step: { actor, purpose }, clock }, index): StepObservation[] => {
    // An execve that works does not return, nor does an exit.
    if (clock === 0n || isBeside(actor, index)) return [];
    return [{ part: index === wait ? PROGRAM : `${actor}: ${purpose}`, ticks: Number(clock - anchor.ticks) }];
  });
  return { anchor, steps: steps.toSorted((a, b) => a.ticks - b.ticks) };
}

function readAnchor(plan: Plan, inspection: Inspection, clocks: ReturnType<Inspection["clocks"]>): Anchor {
  const { started } = plan.rooms;
  const reading = clocks.find(({ step }) => step.arguments.includes(started));
  if (reading === undefined) throw new Error("the plan does not note when the program starts");
  const timespec = inspection.room(started);
  const nanoseconds = timespec.getBigInt64(0, true) * 1_000_000_000n + timespec.getBigInt64(8, true);
  return { nanoseconds, ticks: reading.clock };
}
