import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CoreChoice, chooseCores, CoreLease } from "../../../worker/cores.ts";
import { checkCores } from "../../../worker/doctor/cores.ts";

const layout = { version: 2, directory: "/sys/fs/cgroup", cpuset: "offered" } as const;
const four = { cpuset: "auto", layout, cores: { order: [0, 1, 2, 3], memoryNodes: "0" } } as const;

/** The first core of each slot and companion, or why they have none. */
function firsts(choice: CoreChoice): (number | undefined)[] | string {
  return choice.kind === "shared" ? choice.reason : choice.orders.map(([first]) => first);
}

describe("the choice of cores", () => {
  it("gives each slot one, and companions what is left", () => {
    expect(firsts(chooseCores({ ...four, slots: 2 }))).toEqual([0, 1, 2, 3]);
    expect(firsts(chooseCores({ ...four, slots: 4 }))).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it("gives nobody one where there are too few, where it is turned off, and without the controller", () => {
    expect(firsts(chooseCores({ ...four, slots: 5 }))).toBe("there are 5 slots, and cores 0, 1, 2, 3");
    expect(firsts(chooseCores({ ...four, slots: 2, cpuset: "none" }))).toBe("LONGSHORE_CPUSET is none");
    const plain = { version: 2, directory: "/sys/fs/cgroup" } as const;
    expect(firsts(chooseCores({ ...four, slots: 2, layout: plain }))).toMatch(/cpuset is not there/);
  });
});

describe("workers of one machine", () => {
  it("never have the same core, and the last ones none", async () => {
    await using locks = await mkdtempDisposable(join(tmpdir(), "longshore-cores-"));
    const take = async (slots: number) => await CoreLease.take({ ...four, slots }, join(locks.path, "cores"));
    await using one = await take(1);
    await using two = await take(2);
    await using last = await take(2);
    expect(firsts(one.choice)).toEqual([0, 1]);
    expect(firsts(two.choice)).toEqual([1, 2, 3, 2]);
    expect(firsts(last.choice)).toBe("other workers of this machine have cores 0, 1, 2");
    await using small = await take(1);
    expect(firsts(small.choice)).toEqual([3, 3]);
  });

  it("take the cores that one which has ended had", async () => {
    await using locks = await mkdtempDisposable(join(tmpdir(), "longshore-cores-"));
    const take = async () => await CoreLease.take({ ...four, slots: 4 }, locks.path);
    {
      await using first = await take();
      expect(first.choice.kind).toBe("divided");
    }
    await using second = await take();
    expect(second.choice.kind).toBe("divided");
  });

  it("that ask at once share out what there is", async () => {
    await using locks = await mkdtempDisposable(join(tmpdir(), "longshore-cores-"));
    const leases = await Promise.all([2, 2, 2].map((slots) => CoreLease.take({ ...four, slots }, locks.path)));
    expect(leases.map(({ choice }) => choice.kind).toSorted()).toEqual(["divided", "divided", "shared"]);
    const slots = leases.flatMap(({ choice }) => (choice.kind === "divided" ? choice.orders.slice(0, 2) : []));
    expect(new Set(slots.map(([first]) => first))).toEqual(new Set([0, 1, 2, 3]));
    for (const lease of leases) await lease[Symbol.asyncDispose]();
  });
});

describe("the doctor", () => {
  it("calls slots without cores of their own degraded, unless that is what was asked for", () => {
    const detect = () => layout;
    expect(checkCores({ cpuset: "auto", slots: 1 }, detect)).toMatchObject([{ status: "ok" }]);
    expect(checkCores({ cpuset: "auto", slots: 1024 }, detect)).toMatchObject([{ status: "degraded" }]);
    expect(checkCores({ cpuset: "none", slots: 1024 }, detect)).toMatchObject([{ status: "ok" }]);
  });

  it("leaves it to the check of cgroups to say that there are none", () => {
    const detect = (): never => {
      throw new Error("no cgroup file system is mounted");
    };
    expect(checkCores({ cpuset: "auto", slots: 1 }, detect)).toEqual([]);
  });
});
