import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CgroupHierarchy } from "../../../worker/cgroup/cgroup.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import { ensureDirectory } from "../../../worker/cgroup/worker-root.ts";
import { PlainTree } from "./plain-tree.ts";

const newFiles = {
  "cgroup.procs": "",
  "cpu.cfs_quota_us": "-1\n",
  "cpuacct.usage": "0\n",
  "cpuacct.usage_sys": "0\n",
  "memory.limit_in_bytes": "9223372036854771712\n",
  "memory.memsw.limit_in_bytes": "9223372036854771712\n",
  "memory.swappiness": "60\n",
  "memory.max_usage_in_bytes": "0\n",
  "memory.stat": "cache 0\nrss 0\nshmem 0\n",
  "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
  "pids.max": "max\n",
  "pids.peak": "0\n",
  "pids.events": "max 0\n",
};
const limits = { cpus: 0.5, memoryBytes: 64 * 1024 * 1024, processes: 10 };

/** A tree in which each controller is mounted by itself, and the worker is in a cgroup of its own for memory. */
function separateMounts(files: Readonly<Record<string, string>> = newFiles) {
  const tree = new PlainTree(files);
  const own = { cpu: "cpu", cpuacct: "cpuacct", memory: "memory/service", pids: "pids" };
  return { tree, cgroups: open(tree, own) };
}

function open(
  tree: PlainTree,
  own: Readonly<Record<"cpu" | "cpuacct" | "memory" | "pids", string>>,
  worker = "w1",
): CgroupHierarchy {
  for (const directory of new Set(Object.values(own))) {
    mkdirSync(dirname(join(tree.root, directory)), { recursive: true });
    ensureDirectory(tree, join(tree.root, directory));
  }
  tree.takeLog();
  const { cpu, cpuacct, memory, pids } = own;
  const full = (directory: string): string => join(tree.root, directory);
  const directories = { cpu: full(cpu), cpuacct: full(cpuacct), memory: full(memory), pids: full(pids) };
  return openCgroups({ layout: { version: 1, directories }, worker }, tree);
}

describe("a v1 hierarchy", () => {
  test("makes the worker's cgroup below its own in each controller, once, and turns swapping off for all below", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    expect(tree.takeLog()).toEqual([
      "mkdir cpu/longshore",
      "mkdir cpu/longshore/w1",
      "mkdir cpuacct/longshore",
      "mkdir cpuacct/longshore/w1",
      "mkdir memory/service/longshore",
      "mkdir memory/service/longshore/w1",
      "mkdir pids/longshore",
      "mkdir pids/longshore/w1",
      "memory/service/longshore/w1/memory.swappiness = 0",
    ]);
    cgroups.prepare();
    expect(tree.takeLog()).toEqual(["memory/service/longshore/w1/memory.swappiness = 0"]);
  });

  test("limits a container with one write per limit, the memory limit before the one with swap", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    tree.takeLog();
    cgroups.create("c1", limits);
    expect(tree.takeLog()).toEqual([
      "mkdir cpu/longshore/w1/c1",
      "mkdir cpuacct/longshore/w1/c1",
      "mkdir memory/service/longshore/w1/c1",
      "mkdir pids/longshore/w1/c1",
      "cpu/longshore/w1/c1/cpu.cfs_quota_us = 50000",
      "memory/service/longshore/w1/c1/memory.limit_in_bytes = 67108864",
      "memory/service/longshore/w1/c1/memory.memsw.limit_in_bytes = 67108864",
      "pids/longshore/w1/c1/pids.max = 11",
    ]);
  });

  test("changes limits without a write of what stays, and the one with swap is never below the other", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    const cgroup = cgroups.create("c1", limits);
    tree.takeLog();
    const written = (changes: Partial<typeof limits>): string[] => {
      cgroup.limit({ ...limits, ...changes });
      return tree.takeLog().map((line) => line.replace(/.*\/c1\//, ""));
    };
    expect(written({})).toEqual([]);
    expect(written({ memoryBytes: 2 ** 28 })).toEqual([
      "memory.memsw.limit_in_bytes = 268435456",
      "memory.limit_in_bytes = 268435456",
    ]);
    expect(written({ processes: 3 })).toEqual([
      "memory.limit_in_bytes = 67108864",
      "memory.memsw.limit_in_bytes = 67108864",
      "pids.max = 4",
    ]);
    expect(written({ cpus: 1 })).toEqual(["cpu.cfs_quota_us = 100000", "pids.max = 11"]);
  });

  test("leaves the limit with swap out where the kernel does not count swap", () => {
    const { "memory.memsw.limit_in_bytes": __, ...withoutSwap } = newFiles;
    const { tree, cgroups } = separateMounts(withoutSwap);
    using _ = tree;
    cgroups.prepare();
    cgroups.create("c1", limits);
    expect(tree.takeLog().filter((line) => line.includes("memsw"))).toEqual([]);
  });

  test("makes and removes a directory once for controllers that are mounted together", () => {
    using tree = new PlainTree(newFiles);
    const cgroups = open(tree, { cpu: "cpu,cpuacct", cpuacct: "cpu,cpuacct", memory: "memory", pids: "pids" });
    cgroups.prepare();
    tree.takeLog();
    {
      using cgroup = cgroups.create("c1", limits);
      const files = ["cpu,cpuacct", "memory", "pids"].map((name) => join(tree.root, name, "longshore/w1/c1/tasks"));
      expect(cgroup.entry).toEqual({ processFiles: files });
    }
    const made = ["cpu,cpuacct", "memory", "pids"].map((name) => `${name}/longshore/w1/c1`);
    const log = tree.takeLog();
    expect(log.filter((line) => line.startsWith("mkdir"))).toEqual(made.map((path) => `mkdir ${path}`));
    expect(log.filter((line) => line.startsWith("rmdir"))).toEqual(made.map((path) => `rmdir ${path}`));
  });

  test.each([
    [0.001, 1000],
    [0.01, 1000],
    [1 / 3, 33_333],
    [1, 100_000],
    [16, 1_600_000],
  ])("gives %d cores a quota of %d µs in 100 ms", (cpus, quota) => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    cgroups.create("c1", { ...limits, cpus });
    expect(tree.takeLog()).toContain(`cpu/longshore/w1/c1/cpu.cfs_quota_us = ${quota}`);
  });

  test("removes what it made of a container when a limit cannot be set, and says which", () => {
    const { "pids.max": __, ...withoutPids } = newFiles;
    const { tree, cgroups } = separateMounts(withoutPids);
    using _ = tree;
    cgroups.prepare();
    expect(() => cgroups.create("c1", limits)).toThrow(/^write .*\/pids\/longshore\/w1\/c1\/pids\.max: ENOENT$/);
    for (const name of ["cpu", "cpuacct", "memory/service", "pids"]) {
      expect(existsSync(join(tree.root, name, "longshore/w1/c1"))).toBe(false);
    }
  });

  test.each([
    ["then", false],
    ["before", true],
  ])("reads the usage that the kernel counted, from files that were opened %s", (_when, isOpenedBefore) => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    const descriptors = readdirSync("/proc/self/fd").length;
    const cgroup = cgroups.create("c1", limits);
    if (isOpenedBefore) cgroup.openAccounts();
    tree.count("cpuacct/longshore/w1/c1/cpuacct.usage", "123456789\n");
    tree.count("cpuacct/longshore/w1/c1/cpuacct.usage_sys", "23456789\n");
    tree.count("memory/service/longshore/w1/c1/memory.max_usage_in_bytes", "67108864\n");
    tree.count("memory/service/longshore/w1/c1/memory.stat", "cache 5000000\nrss 1\nshmem 1000000\n");
    tree.count("memory/service/longshore/w1/c1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    tree.count("pids/longshore/w1/c1/pids.peak", "11\n");
    tree.count("pids/longshore/w1/c1/pids.events", "max 7\n");
    expect(cgroup.usage()).toEqual({
      cpuTimeNs: 123_456_789,
      userTimeNs: 100_000_000,
      systemTimeNs: 23_456_789,
      memoryPeakBytes: 63_108_864,
      processesPeak: 11,
      oomKills: 3,
      processLimitHits: 7,
    });
    expect(cgroup.cpuTimeNs()).toBe(123_456_789);
    expect(cgroup.oomKills()).toBe(3);
    cgroup[Symbol.dispose]();
    expect(readdirSync("/proc/self/fd")).toHaveLength(descriptors);
  });

  test("tells its own want of memory from that of a cgroup above it", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    const cgroup = cgroups.create("c1", limits);
    tree.count("memory/service/longshore/w1/c1/memory.max_usage_in_bytes", String(limits.memoryBytes / 2));
    expect(cgroup.hasReachedMemoryLimit()).toBe(false);
    tree.count("memory/service/longshore/w1/c1/memory.max_usage_in_bytes", String(limits.memoryBytes - 4096));
    expect(cgroup.hasReachedMemoryLimit()).toBe(true);
  });

  test("keeps system time within the total, of which ticks may count more than there was", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    const cgroup = cgroups.create("c1", limits);
    tree.count("cpuacct/longshore/w1/c1/cpuacct.usage", "1500000\n");
    tree.count("cpuacct/longshore/w1/c1/cpuacct.usage_sys", "4000000\n");
    expect(cgroup.usage()).toMatchObject({ cpuTimeNs: 1_500_000, userTimeNs: 0, systemTimeNs: 1_500_000 });
  });

  test("knows no peak of processes on kernels that do not count it, but still the refusals", () => {
    const { "pids.peak": __, ...withoutPeak } = newFiles;
    const { tree, cgroups } = separateMounts(withoutPeak);
    using _ = tree;
    cgroups.prepare();
    const cgroup = cgroups.create("c1", limits);
    tree.count("pids/longshore/w1/c1/pids.events", "max 2\n");
    expect(cgroup.usage()).toMatchObject({ processesPeak: null, processLimitHits: 2 });
  });

  test("kills the processes of a container in whichever controller they are, but neither 0 nor itself", async () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    const cgroup = cgroups.create("c1", limits);
    const child = spawn("sleep", ["100"]);
    const exit = once(child, "exit");
    tree.count("pids/longshore/w1/c1/cgroup.procs", `0\n${process.pid}\n`);
    tree.count("memory/service/longshore/w1/c1/cgroup.procs", `${child.pid}\n`);
    cgroup.kill();
    expect(await exit).toEqual([null, "SIGKILL"]);
  });

  test("sweeps what a predecessor left, nested cgroups first, and removes itself without a trace", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    cgroups.create("c1", limits);
    tree.makeDirectory(join(tree.root, "pids/longshore/w1/c1/nested"));
    tree.takeLog();
    cgroups.sweep();
    expect(tree.takeLog()).toEqual([
      "rmdir cpu/longshore/w1/c1",
      "rmdir cpuacct/longshore/w1/c1",
      "rmdir memory/service/longshore/w1/c1",
      "rmdir pids/longshore/w1/c1/nested",
      "rmdir pids/longshore/w1/c1",
    ]);
    cgroups.remove();
    for (const name of ["cpu", "cpuacct", "memory/service", "pids"]) {
      expect(existsSync(join(tree.root, name, "longshore"))).toBe(false);
    }
  });

  test("sweeps what one slot left, and leaves the others' containers alone", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    for (const name of ["1-7", "11-7"]) cgroups.create(name, limits);
    cgroups.sweep("1-");
    expect(cgroupsBelow(join(tree.root, "cpu/longshore/w1"))).toEqual(["11-7"]);
  });

  test("leaves the cgroups of other workers alone", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    tree.makeDirectory(join(tree.root, "cpu/longshore/w2"));
    cgroups.remove();
    expect(readdirSync(join(tree.root, "cpu/longshore"))).toContain("w2");
    expect(readdirSync(join(tree.root, "cpu/longshore"))).not.toContain("w1");
  });

  test("removes what workers left that nobody holds any more, wherever some of it is, and nothing else", () => {
    const { tree, cgroups } = separateMounts();
    using _ = tree;
    cgroups.prepare();
    for (const name of [
      "pids/longshore/w2",
      "pids/longshore/w2/c1",
      "memory/service/longshore/w3",
      "cpu/longshore/x",
    ]) {
      tree.makeDirectory(join(tree.root, name));
    }
    cgroups.removeAbandoned((name) => name.startsWith("w"));
    expect(cgroupsBelow(join(tree.root, "pids/longshore"))).toEqual(["w1"]);
    expect(cgroupsBelow(join(tree.root, "memory/service/longshore"))).toEqual(["w1"]);
    expect(cgroupsBelow(join(tree.root, "cpu/longshore")).toSorted()).toEqual(["w1", "x"]);
  });

  test("finds nothing abandoned of a worker that is in the same place in some hierarchies only", () => {
    using tree = new PlainTree(newFiles);
    const own = { cpu: "cpu", cpuacct: "cpuacct", pids: "pids" };
    const one = open(tree, { ...own, memory: "memory/one" }, "w1");
    const other = open(tree, { ...own, memory: "memory/other" }, "w2");
    one.prepare();
    other.prepare();
    tree.takeLog();
    for (const cgroups of [one, other]) cgroups.removeAbandoned(() => true);
    expect(tree.takeLog()).toEqual([]);
    one.remove();
    expect(cgroupsBelow(join(tree.root, "cpu/longshore"))).toEqual(["w2"]);
  });
});

function cgroupsBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}
