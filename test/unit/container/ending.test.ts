import { describe, expect, it } from "vitest";
import {
  type CommandEnding,
  commandFailure,
  decideOutcome,
  describeEnding,
  type Evidence,
  readStatus,
} from "../../../worker/container/slot/ending.ts";
import { samplePlan, sampleSpec, stepsOf } from "./sample.ts";

const succeeded: CommandEnding = { kind: "exited", exitCode: 0 };
const failed: CommandEnding = { kind: "exited", exitCode: 1 };
const yes = (): boolean => true;
const no = (): boolean => false;

function evidence(changes: Partial<Evidence>): Evidence {
  return {
    endedBy: undefined,
    command: succeeded,
    cpuTimeExceeded: false,
    oomKills: 0,
    processLimitHits: 0,
    isDiskFull: no,
    ...changes,
  };
}

describe("the outcome of a run", () => {
  it.each([
    ["exited", {}],
    ["exited", { command: failed }],
    ["signaled", { command: { kind: "signaled", signal: 11 } }],
    ["memory_limit", { oomKills: 1 }],
    ["cpu_limit", { cpuTimeExceeded: true }],
    ["process_limit", { command: failed, processLimitHits: 3 }],
    ["disk_limit", { command: failed, isDiskFull: yes }],
    ["disk_limit", { command: { kind: "signaled", signal: 25 } }],
    ["wall_limit", { endedBy: "wall_limit", oomKills: 1, command: { kind: "signaled", signal: 9 } }],
    ["output_limit", { endedBy: "output_limit", isDiskFull: yes }],
  ] as const)("is %s for %j", (outcome, changes) => {
    expect(decideOutcome(evidence(changes))).toBe(outcome);
  });

  it("is exited where a program coped with a full disk and the limit of processes", () => {
    expect(decideOutcome(evidence({ isDiskFull: yes, processLimitHits: 9 }))).toBe("exited");
  });
});

describe("the ending of a command", () => {
  it.each([
    [0x0000, { exitCode: 0, signal: null }],
    [0x0700, { exitCode: 7, signal: null }],
    [0x0009, { exitCode: null, signal: "SIGKILL" }],
    [0x008b, { exitCode: null, signal: "SIGSEGV" }],
    [36, { exitCode: null, signal: "SIGRT+2" }],
  ])("of status %i is %j", (status, ending) => {
    expect(describeEnding(readStatus(status))).toEqual(ending);
  });

  it("is 127 for a command that is not there and 126 for one that cannot be executed", () => {
    const step = stepsOf(samplePlan(), "payload", "exec").at(-1);
    if (step === undefined) throw new Error("the plan executes nothing");
    const [ENOENT, EACCES] = [2, 13];
    expect(commandFailure({ step, errno: ENOENT }, sampleSpec)?.ending).toEqual({ kind: "exited", exitCode: 127 });
    const denied = commandFailure({ step, errno: EACCES }, sampleSpec);
    expect(denied?.ending).toEqual({ kind: "exited", exitCode: 126 });
    expect(denied?.message.toString()).toBe('longshore: cannot execute "python3": EACCES\n');
  });

  it("leaves a failure of the container's own set-up to be reported as such", () => {
    const [step] = stepsOf(samplePlan(), "payload", "limits");
    if (step === undefined) throw new Error("the plan limits nothing");
    expect(commandFailure({ step, errno: 1 }, sampleSpec)).toBeUndefined();
  });
});
