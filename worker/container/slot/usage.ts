import { readFileSync } from "node:fs";
import type { CgroupUsage } from "../../cgroup/cgroup.ts";
import type { PreparationRooms } from "../plan/cgroup.ts";
import type { Plan } from "../plan/plan.ts";
import type { Usage } from "../spec.ts";
import type { Inspection } from "./launcher.ts";

/** When the program started and ended, in milliseconds of CLOCK_MONOTONIC. */
export interface RunTimes {
  readonly startedMs: number;
  readonly endedMs: number;
}

/** Reads init's notes; what it had no time to note (it was killed) happened at `nowMs`. */
export function readTimes(plan: Plan, inspection: Inspection, nowMs: number): RunTimes {
  const startedMs = milliseconds(inspection.room(plan.rooms.started));
  const endedMs = milliseconds(inspection.room(plan.rooms.ended));
  return { startedMs: startedMs === 0 ? nowMs : startedMs, endedMs: endedMs === 0 ? nowMs : endedMs };
}

/**
 * What the program used: the cgroup's account of the whole container, without what init spent to prepare it. That part
 * is system time; the split of a short run into user and system time is the kernel's estimate.
 */
export function accountFor(
  plan: Plan,
  inspection: Inspection,
  times: RunTimes,
  cgroup: CgroupUsage,
  maxRssBytes: number,
): Usage {
  const cpuTimeMs = Math.max(0, cgroup.cpuTimeNs / 1e6 - preparationMs(plan.rooms, inspection));
  const userTimeMs = Math.min(cpuTimeMs, cgroup.userTimeNs / 1e6);
  return {
    cpuTimeMs: round(cpuTimeMs),
    userTimeMs: round(userTimeMs),
    systemTimeMs: round(cpuTimeMs - userTimeMs),
    wallTimeMs: round(times.endedMs - times.startedMs),
    memoryPeakBytes: cgroup.memoryPeakBytes,
    maxRssBytes,
    // init is ours.
    processesPeak: cgroup.processesPeak === null ? null : Math.max(0, cgroup.processesPeak - 1),
  };
}

/** CPU time that init spent in the container's cgroup before there was a program, in milliseconds; 0 as long as it is at it. */
export function preparationMs(rooms: Pick<PreparationRooms, "joined" | "prepared">, inspection: Inspection): number {
  const preparedMs = milliseconds(inspection.room(rooms.prepared));
  return preparedMs === 0 ? 0 : preparedMs - milliseconds(inspection.room(rooms.joined));
}

/** The peak resident set of a container's payload that is still alive; 0 when it is not. */
export function peakRssOfPayload(initPid: number): number {
  try {
    const [payload] = readFileSync(`/proc/${initPid}/task/${initPid}/children`, "utf8").split(" ");
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${payload}/status`, "utf8"));
    return Number(peak?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it ended in the meantime
  }
}

function milliseconds(timespec: DataView): number {
  return Number(timespec.getBigInt64(0, true)) * 1e3 + Number(timespec.getBigInt64(8, true)) / 1e6;
}

/** Microseconds are as fine as the kernel's accounts are meant to be read. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1e3) / 1e3;
}

/** CLOCK_MONOTONIC, the clock that init notes its times by. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
