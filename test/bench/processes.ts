import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Clock ticks of /proc in a second: the kernel's USER_HZ, the same on all of its architectures that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Processes of Longshore, by what their command lines name. */
const names: Readonly<Record<string, string>> = {
  "redis-server": "Redis",
  "services/api/main.ts": "API",
  "worker/main.ts": "worker, containers included",
};

/** CPU time in milliseconds that each child of this process has used, itself and whoever it has waited for; by name. */
export function cpuTimeOfChildren(): ReadonlyMap<string, number> {
  const times = new Map<string, number>([["clients", ownCpuTimeMs()]]);
  for (const { name, cpuTimeMs } of children()) times.set(name, (times.get(name) ?? 0) + cpuTimeMs);
  return times;
}

/** What a process holds. */
export interface Footprint {
  readonly residentBytes: number;
  readonly descriptors: number;
  /** In the mount namespaces of all its threads. */
  readonly mounts: number;
}

/** Of each child of this process, by name. @throws when one of them has gone */
export function footprintsOfChildren(): ReadonlyMap<string, Footprint> {
  return new Map(children().map(({ name, pid }) => [name, footprintOf(`/proc/${pid}`)]));
}

function footprintOf(directory: string): Footprint {
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`${directory}/status`, "utf8"))?.[1];
  const tasks = readdirSync(`${directory}/task`).map((task) => `${directory}/task/${task}`);
  const namespaces = new Map(tasks.map((task) => [readlinkSync(`${task}/ns/mnt`), `${task}/mountinfo`]));
  const mounts = [...namespaces.values()].map((path) => readFileSync(path, "utf8").split("\n").length - 1);
  return {
    residentBytes: Number(resident) * 1024,
    descriptors: readdirSync(`${directory}/fd`).length,
    mounts: mounts.reduce((sum, count) => sum + count, 0),
  };
}

interface ChildProcess {
  readonly pid: string;
  readonly name: string;
  readonly cpuTimeMs: number;
}

function children(): readonly ChildProcess[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => readProcess(pid) ?? []);
}

/** @returns undefined when it is no child of ours, none that has a name here, or gone */
function readProcess(pid: string): ChildProcess | undefined {
  try {
    // Behind the name, which may hold anything: state, ppid, …; utime, stime, cutime, cstime are fields 14 to 17 of proc(5).
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    if (Number(fields[1]) !== process.pid) return undefined;
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    const name = Object.entries(names).find(([part]) => commandLine.includes(part))?.[1];
    return name === undefined ? undefined : { pid, name, cpuTimeMs: (ticks * 1000) / TICKS_PER_SECOND };
  } catch {
    return undefined;
  }
}

function ownCpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
