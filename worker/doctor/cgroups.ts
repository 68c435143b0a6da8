import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type CgroupLayout, detectCgroups } from "../cgroup/detect.ts";
import { degraded, type Finding, missing, ok } from "./finding.ts";

const NAME = "cgroup";

/** A file of a group's that not every kernel has. Source of the versions: the kernel's history of cgroup-v2.rst. */
interface Feature {
  readonly file: string;
  readonly since: string;
  /** What is worse without it; containers cannot do without it when left out. */
  readonly effect?: string;
}

/** Counted in both versions. */
const PROCESSES_PEAK: Feature = {
  file: "pids.peak",
  since: "6.1",
  effect: "results do not say how many processes a program had at once (processesPeak is null)",
};
const V1_FEATURES: readonly Feature[] = [PROCESSES_PEAK];
const V2_FEATURES: readonly Feature[] = [
  { file: "cgroup.kill", since: "5.14" },
  { file: "memory.peak", since: "5.19" },
  PROCESSES_PEAK,
];

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
        ...Object.entries(layout.directories).map(([controller, own]) => checkGroup(controller, own, V1_FEATURES)),
      ];
    case 2:
      return [ok(NAME, "v2"), checkGroup("cpu, memory, pids", layout.directory, V2_FEATURES)];
    default:
      throw new Error(`unknown cgroup layout: ${JSON.stringify(layout satisfies never)}`);
  }
}

/** Makes a group below our own, as a worker does, looks at it, and removes it again. */
function checkGroup(controllers: string, own: string, features: readonly Feature[]): Finding {
  const name = `${NAME} ${controllers}`;
  const probe = join(own, `longshore-doctor-${process.pid}`);
  try {
    mkdirSync(probe);
  } catch (error) {
    const wayOut = "run as root, with the cgroup file systems mounted writable";
    return missing(name, `no group can be made in ${own}: ${messageOf(error)}`, wayOut);
  }
  const absent = features.filter((feature) => isAbsent(feature, [probe, own]));
  rmdirSync(probe);
  const [first] = absent.toSorted(
    (one, other) => Number(one.effect !== undefined) - Number(other.effect !== undefined),
  );
  if (first === undefined) return ok(name, own);
  const detail = `no ${absent.map(({ file }) => file).join(", ")}`;
  const wayOut = `install linux ${first.since} or later`;
  return first.effect === undefined ? missing(name, detail, wayOut) : degraded(name, detail, first.effect, wayOut);
}

/**
 * Whether no group has a file that one of them should have. One without the feature's controller tells nothing about the
 * kernel: a new one until our own hands it on, our own where it is the machine's root.
 */
function isAbsent({ file }: Feature, groups: readonly string[]): boolean {
  const [controller = ""] = file.split(".");
  const telling =
    controller === "cgroup" ? groups : groups.filter((group) => existsSync(join(group, `${controller}.max`)));
  return telling.length > 0 && !telling.some((group) => existsSync(join(group, file)));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
