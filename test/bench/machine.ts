import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { promisify } from "node:util";
import { version } from "../../shared/version.ts";
import { versionOf } from "./executables.ts";
import type { Workbench } from "./workbench.ts";

/** Programs whose versions matter to what is measured, where they are installed. */
const PROGRAMS = ["gcc", "redis-server", "crun", "runc", "bwrap"];

/** On what it was measured: what a reader needs to compare figures. */
export type Machine = Readonly<Record<string, string>>;

/** Describes this machine and the versions of everything, by name. */
export async function describeMachine(bench: Workbench): Promise<Machine> {
  const versions = await Promise.all(PROGRAMS.map(async (name) => [name, await versionOf(name)] as const));
  return {
    CPU: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} usable`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    load: `${loadavg()
      .map((load) => load.toFixed(2))
      .join(", ")} (1, 5, 15 minutes) before`,
    system: distribution(),
    kernel: release(),
    cgroups: `v${bench.cgroupRoot.layout.version}`,
    overlay: `layers as ${bench.host.overlay}`,
    node: process.version,
    longshore: `${version}${await revision()}`,
    ...Object.fromEntries(versions.filter(([, text]) => text !== undefined)),
  };
}

function distribution(): string {
  const release = readFileSync("/etc/os-release", "utf8");
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? "unknown";
}

/** The commit that is checked out; nothing where there is no git or no repository. */
async function revision(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("git", ["describe", "--always", "--dirty", "--exclude", "*"], {
      cwd: import.meta.dirname,
    });
    return ` (${stdout.trim()})`;
  } catch {
    return "";
  }
}
