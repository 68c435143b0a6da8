/** The cgroups that a worker's containers are in. */
import { globSync } from "node:fs";
import { detectCgroups } from "../../worker/cgroup/detect.ts";
import { openCgroups } from "../../worker/cgroup/open.ts";

/** Name of a worker's cgroups and of its spool, by its id in the registry. */
export function workerName(id: string): string {
  const [suffix] = /\d+-[0-9a-f]{6}$/.exec(id) ?? [];
  if (suffix === undefined) throw new Error(`${id} is no id of a worker`);
  return `worker-${suffix}`;
}

/** A worker's directory in each hierarchy. */
export function workerCgroups(id: string): string[] {
  const layout = detectCgroups();
  const roots = layout.version === 1 ? Object.values(layout.directories) : [layout.directory];
  return roots.map((root) => `${root}/longshore/${workerName(id)}`);
}

/** Those of a worker's containers in each hierarchy, which on v2 are in their slot's where slots have cores of their own. */
export function containerCgroups(id: string): string[] {
  return workerCgroups(id).flatMap((root) => globSync([`${root}/[0-9]*/`, `${root}/slot-*/[0-9]*/`]));
}

/** Takes away what a killed worker leaves to be swept by the next one: in a test, nobody may come after it. */
export function removeWorkerCgroups(id: string): void {
  const worker = workerName(id);
  openCgroups({ layout: detectCgroups(), worker }).removeAbandoned((name) => name === worker);
}
