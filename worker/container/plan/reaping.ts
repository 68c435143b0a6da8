import { CLOCK } from "../../linux/constants.ts";
import { flags, NULL, room } from "./arguments.ts";
import { TIMESPEC_BYTES } from "./cgroup.ts";
import { type Argument, type Step, writeSteps } from "./step.ts";

/** How the payload ended, and when. */
export interface EndingRooms {
  /** An int: the status of wait(2). */
  readonly status: Argument;
  /** CLOCK_MONOTONIC. */
  readonly ended: Argument;
}

/**
 * init reaps whatever ends in the container until that is the payload. When init exits, the kernel kills what is left
 * in the process namespace and waits for it (pid_namespaces(7)).
 */
export function awaitPayload(steps: Step[], payload: Step): EndingRooms {
  const step = writeSteps(steps, "init", "accounting");
  const status = room(8, "status");
  const ended = room(TIMESPEC_BYTES, "ended");
  step.controlled({ kind: "until", step: payload }, "wait4", -1, status, 0, NULL);
  step("clock_gettime", flags(CLOCK, "CLOCK_MONOTONIC"), ended);
  step("exit_group", 0);
  return { status, ended };
}
