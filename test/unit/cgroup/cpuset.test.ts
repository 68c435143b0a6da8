import { mkdirSync, mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, nat, property, tuple, uniqueArray } from "fast-check";
import { describe, expect, test } from "vitest";
import { findCores } from "../../../worker/cgroup/cpuset/cores.ts";
import { formatCpuList, parseCpuList } from "../../../worker/cgroup/cpuset/cpu-list.ts";
import { divideCores } from "../../../worker/cgroup/cpuset/divide.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import { PlainTree } from "./plain-tree.ts";

const limits = { cpus: 1, memoryBytes: 64 * 1024 * 1024, processes: 10 };
const cores = { name: "slot-3", order: [3, 7, 1], memoryNodes: "0-1" };

function ascending(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((one, other) => one - other);
}

describe("lists of CPUs", () => {
  test.each([
    ["0\n", [0]],
    ["0-3,8", [0, 1, 2, 3, 8]],
    ["5,2-3,2", [2, 3, 5]],
    ["\n", []],
  ])("%j is %j", (text, numbers) => expect(parseCpuList(text)).toEqual(numbers));

  test("are read as they were written", () => {
    const numbers = uniqueArray(nat(4095), { minLength: 1 });
    assert(
      property(numbers, (list) => {
        expect(parseCpuList(formatCpuList(list))).toEqual(ascending(list));
      }),
    );
  });
});

describe("the cores of a process", () => {
  /** A machine of these siblings, by CPU, on which the process may use `allowed`. */
  function find(allowed: string, siblings: Readonly<Record<number, string>>) {
    using directory = mkdtempDisposableSync(join(tmpdir(), "longshore-cores-"));
    const status = join(directory.path, "status");
    writeFileSync(status, `Name:\tnode\nCpus_allowed_list:\t${allowed}\nMems_allowed_list:\t0-1\n`);
    for (const [cpu, list] of Object.entries(siblings)) {
      const topology = join(directory.path, `cpu${cpu}/topology`);
      mkdirSync(topology, { recursive: true });
      writeFileSync(join(topology, "thread_siblings_list"), `${list}\n`);
    }
    return findCores({ status, cpus: directory.path });
  }

  test("are those that it may use, whose threads come last however they are numbered", () => {
    expect(find("0-3", { 0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3" })).toEqual({
      order: [0, 1, 2, 3],
      memoryNodes: "0-1",
    });
    expect(find("0-3", { 0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3" }).order).toEqual([0, 2, 1, 3]);
    expect(find("1-3", { 0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3" }).order).toEqual([1, 2, 3]);
  });

  test("are taken for cores of one thread where the machine does not tell", () => {
    expect(find("4-5", {}).order).toEqual([4, 5]);
  });
});

describe("dividing cores", () => {
  test("gives each slot its own first, then spare ones, then other slots', and last those of others", () => {
    const [first, second, ofFirst, ofSecond] = divideCores([0, 1], [2, 3, 4], [9]);
    expect(first).toEqual([0, 2, 4, 3, 1, 9]);
    expect(second).toEqual([1, 3, 2, 4, 0, 9]);
    expect(ofFirst?.slice(0, 3)).toEqual([2, 4, 0]);
    expect(ofSecond?.slice(0, 2)).toEqual([3, 1]);
  });

  test("puts a companion onto its slot's core where there is no other", () => {
    expect(divideCores([4, 5], [])).toEqual([
      [4, 5],
      [5, 4],
      [4, 5],
      [5, 4],
    ]);
  });

  test("never gives two slots the same first core, and each slot every core once", () => {
    const parts = tuple(uniqueArray(nat(255), { minLength: 1 }), nat(), nat());
    assert(
      property(parts, ([all, some, more]) => {
        const slots = 1 + (some % all.length);
        const taken = slots + (more % (all.length - slots + 1));
        const orders = divideCores(all.slice(0, slots), all.slice(slots, taken), all.slice(taken));
        expect(orders).toHaveLength(2 * slots);
        expect(orders.slice(0, slots).map(([first]) => first)).toEqual(all.slice(0, slots));
        for (const order of orders) expect(ascending(order)).toEqual(ascending(all));
      }),
    );
  });
});

describe("a slot's cores on v1", () => {
  function open() {
    const tree = new PlainTree({ "cgroup.procs": "", tasks: "", "cpuset.cpus": "\n", "cpuset.mems": "\n" });
    for (const name of ["cpu", "cpuset"]) tree.makeDirectory(join(tree.root, name));
    tree.count("cpuset/cpuset.cpus", "0-7\n");
    tree.count("cpuset/cpuset.mems", "0-1\n");
    const full = (name: string): string => join(tree.root, name);
    const directories = { cpu: full("cpu"), cpuacct: full("cpu"), memory: full("cpu"), pids: full("cpu") };
    const layout = { version: 1, directories, cpuset: full("cpuset") } as const;
    tree.takeLog();
    return { tree, layout };
  }

  test("are set on the worker's cgroups with the memory, without which no thread can be there", () => {
    const { tree, layout } = open();
    using _ = tree;
    openCgroups({ layout, worker: "w1" }, tree).prepareCores();
    expect(tree.takeLog()).toEqual([
      "mkdir cpuset/longshore",
      "mkdir cpuset/longshore/w1",
      "cpuset/longshore/cpuset.cpus = 0-7",
      "cpuset/longshore/cpuset.mems = 0-1",
      "cpuset/longshore/w1/cpuset.cpus = 0-7",
      "cpuset/longshore/w1/cpuset.mems = 0-1",
    ]);
  });

  test("belong to a cgroup that its thread joins once, and again when it gets a new thread", () => {
    const { tree, layout } = open();
    using _ = tree;
    openCgroups({ layout, worker: "w1" }, tree).prepareCores();
    tree.takeLog();
    openCgroups({ layout, worker: "w1", cores }, tree).occupy();
    const joined = [
      "cpuset/longshore/w1/slot-3/cpuset.mems = 0-1",
      "cpuset/longshore/w1/slot-3/cpuset.cpus = 3",
      "cpuset/longshore/w1/slot-3/tasks = 0",
    ];
    expect(tree.takeLog()).toEqual(["mkdir cpuset/longshore/w1/slot-3", ...joined]);
    openCgroups({ layout, worker: "w1", cores }, tree).occupy();
    expect(tree.takeLog()).toEqual(joined);
  });

  test("go with the worker's cgroup", () => {
    const { tree, layout } = open();
    using _ = tree;
    const cgroups = openCgroups({ layout, worker: "w1" }, tree);
    cgroups.prepareCores();
    openCgroups({ layout, worker: "w1", cores }, tree).occupy();
    tree.takeLog();
    cgroups.sweep("3-");
    expect(tree.takeLog()).toEqual([]);
    cgroups.sweep();
    expect(tree.takeLog()).toEqual(["rmdir cpuset/longshore/w1/slot-3"]);
    cgroups.remove();
    expect(tree.takeLog()).toEqual(expect.arrayContaining(["rmdir cpuset/longshore/w1", "rmdir cpuset/longshore"]));
  });

  test("are swept when their worker is dead, by one without cores as well, and not before", () => {
    const { tree, layout } = open();
    using _ = tree;
    const living = openCgroups({ layout, worker: "w1" }, tree);
    living.prepareCores();
    openCgroups({ layout, worker: "w1", cores }, tree).occupy();
    for (const name of ["w2", "w2/slot-0"]) tree.makeDirectory(join(tree.root, "cpuset/longshore", name));
    const other = openCgroups({ layout, worker: "w3" }, tree);
    tree.takeLog();
    other.removeAbandoned(() => true);
    const inCpuset = tree.takeLog().filter((line) => line.includes(" cpuset/"));
    expect(inCpuset).toEqual(["rmdir cpuset/longshore/w2/slot-0", "rmdir cpuset/longshore/w2"]);
  });
});

describe("a slot's cores on v2", () => {
  function open() {
    const files = ["cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cpuset.cpus", "cpu.max"];
    const limited = ["memory.max", "memory.oom.group", "pids.max"];
    const tree = new PlainTree(Object.fromEntries([...files, ...limited].map((name) => [name, ""])));
    const directory = join(tree.root, "own");
    tree.makeDirectory(directory);
    const root = { layout: { version: 2, directory, cpuset: "offered" }, worker: "w1" } as const;
    const cgroups = openCgroups(root, tree);
    cgroups.prepare();
    tree.takeLog();
    return { tree, root, cgroups };
  }

  test("belong to a cgroup that its containers' are below, which have limits, and no cores of their own", () => {
    const { tree, root, cgroups } = open();
    using _ = tree;
    cgroups.prepareCores();
    expect(tree.takeLog()).toEqual(
      ["own", "own/longshore", "own/longshore/w1"].map((path) => `${path}/cgroup.subtree_control = +cpuset`),
    );
    const slot = openCgroups({ ...root, cores }, tree);
    slot.occupy();
    expect(tree.takeLog()).toEqual([
      "mkdir own/longshore/w1/slot-3",
      "own/longshore/w1/slot-3/cpuset.cpus = 3",
      "own/longshore/w1/slot-3/cgroup.subtree_control = +cpu +memory +pids",
    ]);
    const container = slot.create("3-1", limits);
    expect(container.entry).toEqual({ directory: join(tree.root, "own/longshore/w1/slot-3/3-1") });
    expect(tree.takeLog().filter((line) => line.includes("cpuset"))).toEqual([]);
  });

  test("are more while a container is there that may use more, and all for one that wants more than there are", () => {
    const { tree, root } = open();
    using _ = tree;
    const slot = openCgroups({ ...root, cores }, tree);
    slot.occupy();
    tree.takeLog();
    for (const [index, cpus] of [0.5, 1.5, 2, 16, 1].entries()) slot.create(`3-${index}`, { ...limits, cpus });
    expect(tree.takeLog().filter((line) => line.includes("cpuset"))).toEqual([
      "own/longshore/w1/slot-3/cpuset.cpus = 3,7",
      "own/longshore/w1/slot-3/cpuset.cpus = 1,3,7",
      "own/longshore/w1/slot-3/cpuset.cpus = 3",
    ]);
  });

  test("are swept with what a dead thread left in them, and with the worker's", () => {
    const { tree, root, cgroups } = open();
    using _ = tree;
    const slot = openCgroups({ ...root, cores }, tree);
    slot.occupy();
    slot.create("3-1", limits);
    tree.takeLog();
    slot.sweep("3-");
    expect(tree.takeLog()).toContain("rmdir own/longshore/w1/slot-3/3-1");
    cgroups.remove();
    expect(tree.takeLog()).toEqual(
      expect.arrayContaining(["rmdir own/longshore/w1/slot-3", "rmdir own/longshore/w1", "rmdir own/longshore"]),
    );
  });
});
