import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ID_RANGE_END, IDS_PER_SLOT } from "../../../shared/ids.ts";
import { WorkerIdentity } from "../../../worker/identity.ts";

const ID_BASE = 1_879_048_192;
const IDS_PER_NUMBER = 64 * IDS_PER_SLOT;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-identity-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe("workers of one data directory", () => {
  it("have user ids and cgroups of their own", async () => {
    await using first = await WorkerIdentity.take(directory, ID_BASE, 2);
    await using second = await WorkerIdentity.take(directory, ID_BASE, 2);
    expect([first.idBase, second.idBase]).toEqual([ID_BASE, ID_BASE + IDS_PER_NUMBER]);
    expect(first.cgroupName).not.toBe(second.cgroupName);
    expect(first.id).not.toBe(second.id);
  });

  it("take over from one that has ended: its ids and cgroup, but not its name", async () => {
    const ended = await WorkerIdentity.take(directory, ID_BASE, 2);
    await ended[Symbol.asyncDispose]();
    await using successor = await WorkerIdentity.take(directory, ID_BASE, 2);
    expect(successor).toMatchObject({ idBase: ended.idBase, cgroupName: ended.cgroupName });
    expect(successor.id).not.toBe(ended.id);
  });

  it("with many slots take a range that has no hole", async () => {
    await using low = await WorkerIdentity.take(directory, ID_BASE, 1);
    const middle = await WorkerIdentity.take(directory, ID_BASE, 1);
    await using high = await WorkerIdentity.take(directory, ID_BASE, 1);
    await middle[Symbol.asyncDispose]();
    await using wide = await WorkerIdentity.take(directory, ID_BASE, 65);
    expect(wide.idBase).toBe(ID_BASE + 3 * IDS_PER_NUMBER);
    await using narrow = await WorkerIdentity.take(directory, ID_BASE, 1);
    expect(narrow.idBase).toBe(middle.idBase);
    await using next = await WorkerIdentity.take(directory, ID_BASE, 1);
    expect(next.idBase).toBe(ID_BASE + 5 * IDS_PER_NUMBER);
    expect([low.idBase, high.idBase]).toEqual([ID_BASE, ID_BASE + 2 * IDS_PER_NUMBER]);
  });

  it("are refused when their user ids would not be theirs alone", async () => {
    const idBase = ID_RANGE_END - 2 * IDS_PER_SLOT;
    await using only = await WorkerIdentity.take(directory, idBase, 2);
    expect(only.idBase).toBe(idBase);
    await expect(WorkerIdentity.take(directory, idBase, 2)).rejects.toThrow(/lower LONGSHORE_ID_BASE/);
  });
});

describe("workers of different data directories", () => {
  it("have different cgroups", async () => {
    const other = await mkdtemp(join(tmpdir(), "longshore-identity-"));
    await using here = await WorkerIdentity.take(directory, ID_BASE, 1);
    await using there = await WorkerIdentity.take(other, ID_BASE, 1);
    expect(here.cgroupName).not.toBe(there.cgroupName);
    await rm(other, { recursive: true });
  });
});
