import { errnoName, SystemCallError } from "../../linux/errno.ts";
import type { StepFailure } from "../interpret.ts";
import type { Step } from "../plan/step.ts";
import type { SetupFailure } from "../spec.ts";

/** What a failed step of a plan is reported as. */
export function setupFailure(steps: readonly Step[], { step, errno }: StepFailure): SetupFailure {
  return {
    kind: "failed",
    purpose: step.purpose,
    step: steps.indexOf(step),
    call: step.call,
    errno: errnoName(errno),
  };
}

/** Does work around a plan. @returns how it failed, if it did */
export function attempt(purpose: string, work: () => void): SetupFailure | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return failureOf(purpose, error);
  }
}

/** @throws {Error} what is no failure of a system call */
export function failureOf(purpose: string, error: unknown): SetupFailure {
  if (error instanceof SystemCallError) {
    return { kind: "failed", purpose, step: -1, call: error.call, errno: error.errno };
  }
  // Of node:fs.
  if (error instanceof Error && "syscall" in error && "code" in error) {
    return { kind: "failed", purpose, step: -1, call: String(error.syscall), errno: String(error.code) };
  }
  throw error;
}
