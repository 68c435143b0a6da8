import { readdirSync, readFileSync } from "node:fs";

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
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const process = readProcess(pid);
    if (process === undefined) continue;
    const name = Object.entries(names).find(([part]) => process.commandLine.includes(part))?.[1];
    if (name !== undefined) times.set(name, (times.get(name) ?? 0) + process.cpuTimeMs);
  }
  return times;
}

interface ChildProcess {
  readonly commandLine: string;
  readonly cpuTimeMs: number;
}

/** @returns undefined when it is no child of ours, or gone */
function readProcess(pid: string): ChildProcess | undefined {
  try {
    // Behind the name, which may hold anything: state, ppid, …; utime, stime, cutime, cstime are fields 14 to 17 of proc(5).
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    if (Number(fields[1]) !== process.pid) return undefined;
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { commandLine: readFileSync(`/proc/${pid}/cmdline`, "utf8"), cpuTimeMs: (ticks * 1000) / TICKS_PER_SECOND };
  } catch {
    return undefined;
  }
}

function ownCpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
