/** The cgroups that a worker's containers are in. */
import { existsSync } from "node:fs";
import { detectCgroups } from "../../worker/cgroup/detect.ts";
import { openCgroups } from "../../worker/cgroup/open.ts";
import { lockAbandoned } from "../../worker/identity.ts";

/** A worker's directory in each hierarchy. */
export function workerCgroups(id: string): string[] {
  const layout = detectCgroups();
  const roots = layout.version === 1 ? Object.values(layout.directories) : [layout.directory];
  return roots.map((root) => `${root}/longshore/${cgroupName(id)}`);
}

/** Takes away what a killed worker leaves for its successor to sweep: in a test, nobody may come after it. */
export async function removeWorkerCgroups(id: string): Promise<void> {
  const worker = cgroupName(id);
  await using abandoned = await lockAbandoned(worker);
  if (abandoned === undefined || !workerCgroups(id).every((directory) => existsSync(directory))) return;
  openCgroups({ layout: detectCgroups(), worker }).remove();
}

/** Named after the worker's block of user ids, which is in its id, too. */
function cgroupName(id: string): string {
  const [, block] = /-(\d+)-[0-9a-f]+$/.exec(id) ?? [];
  if (block === undefined) throw new Error(`${id} is no id of a worker`);
  return `ids-${block}`;
}
