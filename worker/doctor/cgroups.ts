import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type CgroupLayout, detectCgroups } from "../cgroup/detect.ts";
import { degraded, type Finding, missing, ok } from "./finding.ts";

const NAME = "cgroup";

/** What v2 brought after Linux 5.0 and a container needs, by the file that shows it. Source: cgroup-v2.rst's history. */
const FEATURES = { "cgroup.kill": "5.14", "memory.peak": "5.19" } as const;

/**
 * The controllers that hold a container's limits are there, in either version, and a group can be made below our own.
 * Nothing is moved: on v2 only a worker, which moves itself out of the way, gets to hand controllers on.
 */
export function checkCgroups(detect: () => CgroupLayout = detectCgroups): Finding[] {
  let layout: CgroupLayout;
  try {
    layout = detect();
  } catch (error) {
    return [missing(NAME, messageOf(error), "do what it says, and run longshore doctor again")];
  }
  switch (layout.version) {
    case 1:
      return [
        degraded(
          NAME,
          "v1",
          "a container joins one group after the other, which takes longer the busier the machine is",
          "start the machine with v2: systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        ),
        ...Object.entries(layout.directories).map(([controller, own]) => checkGroup(controller, own)),
      ];
    case 2:
      return [ok(NAME, "v2"), checkGroup("cpu, memory, pids", layout.directory, FEATURES)];
    default:
      throw new Error(`unknown cgroup layout: ${JSON.stringify(layout satisfies never)}`);
  }
}

/** Makes a group below our own, as a worker does, looks at it, and removes it again. */
function checkGroup(controllers: string, own: string, features: Readonly<Record<string, string>> = {}): Finding {
  const name = `${NAME} ${controllers}`;
  const probe = join(own, `longshore-doctor-${process.pid}`);
  try {
    mkdirSync(probe);
  } catch (error) {
    const wayOut = "run as root, with the cgroup file systems mounted writable";
    return missing(name, `no group can be made in ${own}: ${messageOf(error)}`, wayOut);
  }
  // Where our own group does not hand a controller on yet, the absence of its files tells nothing about the kernel.
  const isTelling = (file: string) =>
    file.startsWith("cgroup.") || existsSync(join(probe, `${file.split(".")[0]}.max`));
  const absent = Object.entries(features).filter(([file]) => isTelling(file) && !existsSync(join(probe, file)));
  rmdirSync(probe);
  const [first] = absent;
  if (first === undefined) return ok(name, own);
  return missing(name, `no ${absent.map(([file]) => file).join(", ")}`, `install linux ${first[1]} or later`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
