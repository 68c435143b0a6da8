import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cgroup, CgroupLimits, CgroupRoot } from "../../../worker/cgroup/cgroup.ts";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";

const root: CgroupRoot = { layout: detectCgroups(), worker: `test-${process.pid}` };
const cgroups = openCgroups(root);
const generous: CgroupLimits = { cpus: 1, memoryBytes: 256 * 1024 * 1024, processes: 32 };

beforeAll(() => cgroups.prepare());
afterAll(() => cgroups.remove());

/** The directories of a cgroup, one for each hierarchy. */
function directories({ entry }: Cgroup): readonly string[] {
  return "directory" in entry ? [entry.directory] : entry.processFiles.map((file) => dirname(file));
}

/** Starts a shell script inside a cgroup, in a process group of its own. */
function start(cgroup: Cgroup, script: string): ChildProcess {
  const files = directories(cgroup).map((directory) => `${directory}/cgroup.procs`);
  const join = 'for file; do echo 0 > "$file"; done; exec sh -c "$SCRIPT"';
  return spawn("sh", ["-c", join, "sh", ...files], {
    stdio: "ignore",
    detached: true,
    env: { ...process.env, SCRIPT: script },
  });
}

/** Waits until there are so many processes in the cgroup, by looking until there are. */
async function isInside(cgroup: Cgroup, count: number): Promise<void> {
  const procs = directories(cgroup).map((directory) => `${directory}/cgroup.procs`);
  const lines = (file: string): number => readFileSync(file, "utf8").split("\n").filter(Boolean).length;
  await expect.poll(() => procs.map(lines), { timeout: 30_000, interval: 5 }).toEqual(procs.map(() => count));
}

describe("a container's cgroup", () => {
  test("counts the CPU time of the processes in it, ended ones too, and of no others", async () => {
    using cgroup = cgroups.create("cpu-time", generous);
    expect(cgroup.cpuTimeNs()).toBe(0);
    await once(start(cgroup, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), "exit");
    const usage = cgroup.usage();
    expect(usage.cpuTimeNs).toBeGreaterThan(1e6);
    expect(usage.userTimeNs + usage.systemTimeNs).toBe(usage.cpuTimeNs);
    expect(cgroup.cpuTimeNs()).toBe(usage.cpuTimeNs);
  });

  test("holds back a process that wants more CPU than its share", async () => {
    using cgroup = cgroups.create("cpu-quota", { ...generous, cpus: 0.05 });
    const child = start(cgroup, "while :; do :; done");
    const exit = once(child, "exit");
    const throttled = (): number => {
      const files = directories(cgroup).map((directory) => `${directory}/cpu.stat`);
      const text = readFileSync(files.find((file) => existsSync(file)) ?? "", "utf8");
      return Number(/^nr_throttled (\d+)$/m.exec(text)?.[1]);
    };
    await expect.poll(throttled, { timeout: 30_000, interval: 20 }).toBeGreaterThan(0);
    cgroup.kill();
    expect(await exit).toEqual([null, "SIGKILL"]);
  });

  test("ends processes that want more memory than there is, and counts that", async () => {
    const memoryBytes = 32 * 1024 * 1024;
    using cgroup = cgroups.create("memory", { ...generous, memoryBytes });
    expect(cgroup.oomKills()).toBe(0);
    // tail keeps a line until it ends, and this one does not.
    await once(start(cgroup, "head -c 200000000 /dev/zero | tail -n 1"), "exit");
    expect(cgroup.oomKills()).toBeGreaterThan(0);
    const { memoryPeakBytes, oomKills } = cgroup.usage();
    expect(oomKills).toBe(cgroup.oomKills());
    expect(memoryPeakBytes).toBeGreaterThan(memoryBytes / 2);
    expect(memoryPeakBytes).toBeLessThanOrEqual(memoryBytes);
  });

  test("refuses processes beyond the limit, and counts how many there were and how often it refused", async () => {
    using cgroup = cgroups.create("processes", { ...generous, processes: 3 });
    // One for the shell, which stands in for init, and three more; dash gives up at the fourth.
    const child = start(cgroup, "sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & wait");
    expect(await once(child, "exit")).toEqual([2, null]);
    expect(cgroup.usage()).toMatchObject({ processesPeak: 4, processLimitHits: expect.toSatisfy((hits) => hits > 0) });
  });

  test("counts no refusals when the limit was not reached", async () => {
    using cgroup = cgroups.create("few-processes", generous);
    await once(start(cgroup, "true & true & wait"), "exit");
    expect(cgroup.usage()).toMatchObject({ processLimitHits: 0, oomKills: 0 });
    expect(cgroup.usage().processesPeak).toBeGreaterThan(1);
  });

  test("is gone when disposed of, with the processes in it: stopped, orphaned and of other sessions", async () => {
    let left: readonly string[];
    let exit: Promise<unknown>;
    {
      using cgroup = cgroups.create("dispose", generous);
      const child = start(cgroup, "setsid sleep 1000 & (sleep 1000 &); kill -STOP $$");
      exit = once(child, "exit");
      await isInside(cgroup, 3);
      left = directories(cgroup);
      expect(left.every((directory) => existsSync(directory))).toBe(true);
    }
    expect(await exit).toEqual([null, "SIGKILL"]);
    expect(left.filter((directory) => existsSync(directory))).toEqual([]);
  });
});

describe("a worker's cgroup", () => {
  test("is swept of what a dead predecessor left", async () => {
    const one = cgroups.create("left-1", generous);
    const two = cgroups.create("left-2", generous);
    const sleeping = once(start(one, "exec sleep 1000"), "exit");
    const stopped = once(start(two, "kill -STOP $$"), "exit");
    await Promise.all([isInside(one, 1), isInside(two, 1)]);
    openCgroups(root).sweep();
    expect(await sleeping).toEqual([null, "SIGKILL"]);
    expect(await stopped).toEqual([null, "SIGKILL"]);
    expect([one, two].flatMap(directories).filter((directory) => existsSync(directory))).toEqual([]);
  });

  test("can be made again and removed without a trace", () => {
    const other = openCgroups({ ...root, worker: `${root.worker}-removed` });
    other.prepare();
    other.prepare();
    const container = other.create("one", generous);
    const parents = directories(container).map((directory) => dirname(directory));
    other.remove();
    expect(parents.filter((directory) => existsSync(directory))).toEqual([]);
  });

  test("is removed although threads still make containers in it", async () => {
    const busy: CgroupRoot = { ...root, worker: `${root.worker}-busy` };
    const other = openCgroups(busy);
    other.prepare();
    const program = `
      const { workerData, parentPort } = require("node:worker_threads");
      const clock = new Int32Array(new SharedArrayBuffer(4));
      void import(workerData.module).then(({ openCgroups }) => {
        const cgroups = openCgroups(workerData.root);
        for (let count = 0; count < 100; count++) {
          try {
            cgroups.create("made-" + count, workerData.limits);
          } catch {
            // Removed in the middle of that.
          }
          if (count === 0) parentPort.postMessage("begun");
          Atomics.wait(clock, 0, 0, 0.2);
        }
      });`;
    const module = new URL("../../../worker/cgroup/open.ts", import.meta.url).href;
    const thread = new Worker(program, { eval: true, workerData: { root: busy, limits: generous, module } });
    const ended = once(thread, "exit");
    await once(thread, "message");
    other.remove();
    expect(await ended).toEqual([0]);
    const left = openCgroups(busy);
    left.prepare();
    const parents = directories(left.create("one", generous)).map((directory) => dirname(directory));
    left.remove();
    expect(parents.filter((directory) => existsSync(directory))).toEqual([]);
  });

  test("takes no container twice under one name", () => {
    using _ = cgroups.create("twice", generous);
    expect(() => cgroups.create("twice", generous)).toThrow(/^mkdir .*\/twice: EEXIST$/);
  });
});
