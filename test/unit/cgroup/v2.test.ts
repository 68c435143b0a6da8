import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SystemCallError } from "../../../worker/linux/errno.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import { PlainTree } from "./plain-tree.ts";

const newFiles = {
  "cgroup.procs": "",
  "cgroup.type": "domain\n",
  "cgroup.subtree_control": "",
  "cgroup.kill": "",
  "cpu.max": "max 100000\n",
  "cpu.stat": "usage_usec 0\nuser_usec 0\nsystem_usec 0\n",
  "memory.max": "max\n",
  "memory.swap.max": "max\n",
  "memory.oom.group": "0\n",
  "memory.peak": "0\n",
  "memory.stat": "anon 0\nfile 0\nshmem 0\n",
  "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
  "pids.max": "max\n",
  "pids.peak": "0\n",
  "pids.events": "max 0\n",
};
const limits = { cpus: 1.5, memoryBytes: 64 * 1024 * 1024, processes: 10 };
const EBUSY = 16;
const EACCES = 13;

/** A tree whose cgroup `own` is the worker's, with these processes in it. */
function worker(processes: readonly number[], tree = new PlainTree(newFiles)) {
  const own = join(tree.root, "own");
  tree.makeDirectory(own);
  writeFileSync(join(own, "cgroup.procs"), processes.map((pid) => `${pid}\n`).join(""));
  tree.takeLog();
  return { tree, own, cgroups: openCgroups({ layout: { version: 2, directory: own }, worker: "w1" }, tree) };
}

/** A tree that answers writes of one file with an error, as the kernel may. */
class RefusingTree extends PlainTree {
  readonly #path: string;
  readonly #errno: number;
  #times: number;

  constructor(path: string, errno: number, times: number) {
    super(newFiles);
    this.#path = path;
    this.#errno = errno;
    this.#times = times;
  }

  override write(path: string, text: string): void {
    if (path === join(this.root, this.#path) && this.#times-- > 0)
      throw new SystemCallError(`write ${path}`, this.#errno);
    super.write(path, text);
  }
}

describe("a v2 hierarchy", () => {
  test("moves the processes of the worker's own cgroup into a leaf before it enables controllers below", () => {
    const { tree, cgroups } = worker([1234, 1235]);
    using _ = tree;
    cgroups.prepare();
    expect(tree.takeLog()).toEqual([
      "mkdir own/longshore-supervisor",
      "own/longshore-supervisor/cgroup.procs = 1234",
      "own/longshore-supervisor/cgroup.procs = 1235",
      "own/cgroup.subtree_control = +cpu +memory +pids",
      "mkdir own/longshore",
      "mkdir own/longshore/w1",
      "own/longshore/cgroup.subtree_control = +cpu +memory +pids",
      "own/longshore/w1/cgroup.subtree_control = +cpu +memory +pids",
      "own/longshore/w1/memory.swap.max = 0",
    ]);
  });

  test("needs no leaf in the root of the machine, whose processes may stay", () => {
    const { "cgroup.type": __, ...ofRoot } = newFiles;
    const { tree, cgroups } = worker([1, 2, 3], new PlainTree(ofRoot));
    using _ = tree;
    cgroups.prepare();
    expect(tree.takeLog()[0]).toBe("own/cgroup.subtree_control = +cpu +memory +pids");
  });

  test("moves again when a process was forked in between", () => {
    const { tree, cgroups } = worker([1234], new RefusingTree("own/cgroup.subtree_control", EBUSY, 1));
    using _ = tree;
    cgroups.prepare();
    expect(tree.takeLog().filter((line) => line.includes("1234"))).toHaveLength(2);
  });

  test("names the way out when processes cannot be moved", () => {
    const { tree, cgroups } = worker([0], new RefusingTree("own/cgroup.subtree_control", EBUSY, Infinity));
    using _ = tree;
    expect(() => cgroups.prepare()).toThrow(/subtree_control: EBUSY: .*systemd-run --scope -p Delegate=yes/);
  });

  test("names the way out when the cgroup is not delegated", () => {
    const { tree, cgroups } = worker([], new RefusingTree("own/cgroup.subtree_control", EACCES, Infinity));
    using _ = tree;
    expect(() => cgroups.prepare()).toThrow(/subtree_control: EACCES: .*Delegate=yes/);
  });

  test("passes over a process that has ended before it could be moved", () => {
    const ESRCH = 3;
    const { tree, cgroups } = worker([99], new RefusingTree("own/longshore-supervisor/cgroup.procs", ESRCH, 1));
    using _ = tree;
    cgroups.prepare();
    expect(tree.takeLog()).toContain("own/cgroup.subtree_control = +cpu +memory +pids");
  });

  test("limits a container with one directory and one write per limit", () => {
    const { tree, own, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    tree.takeLog();
    const cgroup = cgroups.create("c1", limits);
    expect(tree.takeLog()).toEqual([
      "mkdir own/longshore/w1/c1",
      "own/longshore/w1/c1/cpu.max = 150000",
      "own/longshore/w1/c1/memory.max = 67108864",
      "own/longshore/w1/c1/memory.oom.group = 1",
      "own/longshore/w1/c1/pids.max = 11",
    ]);
    expect(cgroup.entry).toEqual({ directory: join(own, "longshore/w1/c1") });
  });

  test.each([
    ["then", false],
    ["before", true],
  ])("reads the usage that the kernel counted, from files that were opened %s", (_when, isOpenedBefore) => {
    const { tree, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    const descriptors = readdirSync("/proc/self/fd").length;
    const cgroup = cgroups.create("c1", limits);
    if (isOpenedBefore) cgroup.openAccounts();
    tree.count("own/longshore/w1/c1/cpu.stat", "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 1\n");
    tree.count("own/longshore/w1/c1/memory.peak", "4096\n");
    tree.count("own/longshore/w1/c1/memory.stat", "anon 2000\nfile 2048\nshmem 1024\n");
    tree.count("own/longshore/w1/c1/memory.events", "low 0\nmax 9\noom 2\noom_kill 4\noom_group_kill 1\n");
    tree.count("own/longshore/w1/c1/pids.peak", "5\n");
    expect(cgroup.usage()).toEqual({
      cpuTimeNs: 5_000_000,
      userTimeNs: 3_000_000,
      systemTimeNs: 2_000_000,
      memoryPeakBytes: 3072,
      processesPeak: 5,
      oomKills: 4,
      processLimitHits: 0,
    });
    expect(cgroup.hasReachedMemoryLimit()).toBe(true);
    tree.count("own/longshore/w1/c1/pids.peak", "11\n");
    tree.count("own/longshore/w1/c1/pids.events", "max 6\n");
    expect(cgroup.usage()).toMatchObject({ processesPeak: 11, processLimitHits: 6 });
    cgroup[Symbol.dispose]();
    expect(readdirSync("/proc/self/fd")).toHaveLength(descriptors);
  });

  test("kills a container by cgroup.kill and removes it when disposed of", () => {
    const { tree, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    {
      using cgroup = cgroups.create("c1", limits);
      tree.takeLog();
      cgroup.kill();
    }
    expect(tree.takeLog()).toEqual(["own/longshore/w1/c1/cgroup.kill = 1", "rmdir own/longshore/w1/c1"]);
  });

  test("sweeps what one slot left, and leaves the others' containers alone", () => {
    const { tree, own, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    for (const name of ["1-7", "11-7"]) cgroups.create(name, limits);
    cgroups.sweep("1-");
    expect(existsSync(join(own, "longshore/w1/1-7"))).toBe(false);
    expect(existsSync(join(own, "longshore/w1/11-7"))).toBe(true);
  });

  test("sweeps what a predecessor left and removes itself", () => {
    const { tree, own, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    cgroups.create("c1", limits);
    tree.makeDirectory(join(own, "longshore/w1/c1/nested"));
    tree.takeLog();
    cgroups.sweep();
    expect(tree.takeLog()).toEqual([
      "own/longshore/w1/c1/cgroup.kill = 1",
      "rmdir own/longshore/w1/c1/nested",
      "rmdir own/longshore/w1/c1",
    ]);
    cgroups.remove();
    expect(existsSync(join(own, "longshore"))).toBe(false);
  });

  test("removes what workers left that nobody holds any more, and nothing else", () => {
    const { tree, own, cgroups } = worker([]);
    using _ = tree;
    cgroups.prepare();
    const living = openCgroups({ layout: { version: 2, directory: own }, worker: "w2" }, tree);
    living.prepare();
    living.create("c1", limits);
    for (const name of ["w3", "w3/c1", "x"]) tree.makeDirectory(join(own, "longshore", name));
    tree.takeLog();
    cgroups.removeAbandoned((name) => name.startsWith("w"));
    expect(tree.takeLog()).toEqual([
      "own/longshore/w3/cgroup.kill = 1",
      "rmdir own/longshore/w3/c1",
      "rmdir own/longshore/w3",
    ]);
  });
});
