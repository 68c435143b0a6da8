import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";

const MODULES = new URL("../../../worker/cgroup/", import.meta.url).href;

const layout = detectCgroups();
const prefix = `test-${process.pid}-abandoned-`;
const cgroups = openCgroups({ layout, worker: `${prefix}own` });

/** A worker with a container, in which a process sleeps; resolves when it does, with that process's id. */
async function startWorker(name: string): Promise<{ readonly process: ChildProcess; readonly sleeper: number }> {
  const program = `
    const { spawn } = await import("node:child_process");
    const { openCgroups } = await import("${MODULES}open.ts");
    const cgroups = openCgroups({ layout: ${JSON.stringify(layout)}, worker: "${prefix}${name}" });
    cgroups.prepare();
    const { entry } = cgroups.create("0-1", { cpus: 1, memoryBytes: 64 * 1024 ** 2, processes: 10 });
    const files = "directory" in entry ? [entry.directory + "/cgroup.procs"] : entry.processFiles;
    const join = 'for file; do echo 0 > "$file"; done; echo $$; exec sleep 1000';
    spawn("sh", ["-c", join, "sh", ...files], { stdio: ["ignore", "inherit", "ignore"] });
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  return { process: child, sleeper: Number(printed.toString()) };
}

function directoriesOf(name: string): string[] {
  const roots = layout.version === 1 ? Object.values(layout.directories) : [layout.directory];
  return roots.map((root) => `${root}/longshore/${prefix}${name}`);
}

test("what a killed worker left is removed with the processes in it, and what a living one has is not", async () => {
  await using resources = new AsyncDisposableStack();
  cgroups.prepare();
  resources.defer(() => cgroups.remove());
  const living = await startWorker("living");
  resources.defer(async () => {
    living.process.kill("SIGKILL");
    await once(living.process, "exit");
    cgroups.removeAbandoned((name) => name.startsWith(prefix));
    expect(directoriesOf("living").filter(existsSync)).toEqual([]);
  });
  const killed = await startWorker("killed");
  killed.process.kill("SIGKILL");
  await once(killed.process, "exit");
  expect(process.kill(killed.sleeper, 0)).toBe(true);

  cgroups.removeAbandoned((name) => name.startsWith(prefix));
  expect(directoriesOf("killed").filter(existsSync)).toEqual([]);
  await expect.poll(() => existsSync(`/proc/${killed.sleeper}`)).toBe(false);
  for (const name of ["own", "living"]) {
    const directories = directoriesOf(name);
    expect(directories.filter(existsSync)).toEqual(directories);
    for (const directory of directories) expect(statSync(directory).mode & 0o777).toBe(0o700);
  }
  expect(process.kill(living.sleeper, 0)).toBe(true);
});
