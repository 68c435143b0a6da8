import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ID_RANGE_END, IDS_PER_SLOT } from "../../../shared/ids.ts";
import { lockAbandoned, WorkerIdentity } from "../../../worker/identity.ts";

const ID_BASE = 1_879_048_192;
const IDS_PER_BLOCK = 64 * IDS_PER_SLOT;

let lockDirectory: string;

beforeEach(async () => {
  lockDirectory = join(await mkdtemp(join(tmpdir(), "longshore-identity-")), "ids");
});

afterEach(async () => {
  await rm(dirname(lockDirectory), { recursive: true });
});

const take = async (slots: number, idBase = ID_BASE): Promise<WorkerIdentity> =>
  await WorkerIdentity.take({ idBase, slots, lockDirectory });

describe("workers of one machine", () => {
  it("have user ids and cgroups of their own", async () => {
    await using first = await take(2);
    await using second = await take(2);
    expect([first.idBase, second.idBase]).toEqual([ID_BASE, ID_BASE + IDS_PER_BLOCK]);
    expect(first.cgroupName).not.toBe(second.cgroupName);
    expect(first.id).not.toBe(second.id);
  });

  it("share no user ids either when their first ids are configured to lie close together", async () => {
    await using first = await take(2);
    await using inside = await take(2, ID_BASE + IDS_PER_SLOT);
    await using across = await take(2, ID_BASE + 2 * IDS_PER_BLOCK - IDS_PER_SLOT);
    await using last = await take(2);
    const ranges = [first, inside, across, last].map(({ idBase }) => idBase).toSorted((one, other) => one - other);
    expect(ranges).toEqual([0, 1, 2, 3].map((block) => ID_BASE + block * IDS_PER_BLOCK));
  });

  it("take over from one that has ended: its ids and cgroup, but not its name", async () => {
    const ended = await take(2);
    await ended[Symbol.asyncDispose]();
    await using successor = await take(2);
    expect(successor).toMatchObject({ idBase: ended.idBase, cgroupName: ended.cgroupName });
    expect(successor.id).not.toBe(ended.id);
  });

  it("take over from their own predecessors when two that were killed start again in another order", async () => {
    const [one, other] = [await take(2), await take(2)];
    await Promise.all([one, other].map((it) => it[Symbol.asyncDispose]()));
    const takeAfter = async (...predecessors: string[]): Promise<WorkerIdentity> =>
      await WorkerIdentity.take({ idBase: ID_BASE, slots: 2, lockDirectory, predecessors });
    await using otherAgain = await takeAfter("no worker's", other.cgroupName);
    await using oneAgain = await takeAfter(other.cgroupName, one.cgroupName);
    expect([oneAgain.cgroupName, otherAgain.cgroupName]).toEqual([one.cgroupName, other.cgroupName]);
    await using third = await takeAfter(one.cgroupName, other.cgroupName, "ids-99999999");
    expect([one.cgroupName, other.cgroupName, "ids-99999999"]).not.toContain(third.cgroupName);
  });

  it("keep to the ids that they are configured with, whoever left something", async () => {
    const low = await take(2);
    await low[Symbol.asyncDispose]();
    await using worker = await WorkerIdentity.take({
      idBase: ID_BASE + IDS_PER_BLOCK,
      slots: 2,
      lockDirectory,
      predecessors: [low.cgroupName],
    });
    expect(worker.idBase).toBe(ID_BASE + IDS_PER_BLOCK);
  });

  it("with many slots take a range that has no hole", async () => {
    await using low = await take(1);
    const middle = await take(1);
    await using high = await take(1);
    await middle[Symbol.asyncDispose]();
    await using wide = await take(65);
    expect(wide.idBase).toBe(ID_BASE + 3 * IDS_PER_BLOCK);
    await using narrow = await take(1);
    expect(narrow.idBase).toBe(middle.idBase);
    await using next = await take(1);
    expect(next.idBase).toBe(ID_BASE + 5 * IDS_PER_BLOCK);
    expect([low.idBase, high.idBase]).toEqual([ID_BASE, ID_BASE + 2 * IDS_PER_BLOCK]);
  });

  it("are refused when their user ids would not be theirs alone", async () => {
    const idBase = ID_RANGE_END - 2 * IDS_PER_SLOT;
    await using only = await take(2, idBase);
    expect(only.idBase).toBe(idBase);
    await expect(take(2, idBase)).rejects.toThrow(/lower LONGSHORE_ID_BASE/);
  });

  it("keep others from holding their locks", async () => {
    await using _ = await take(1);
    expect((await stat(lockDirectory)).mode & 0o777).toBe(0o700);
  });
});

describe("a cgroup", () => {
  it("is abandoned when its worker has ended, and nobody can take it while that is made use of", async () => {
    const worker = await take(1);
    const { cgroupName } = worker;
    expect(await lockAbandoned(cgroupName, lockDirectory)).toBeUndefined();
    await worker[Symbol.asyncDispose]();
    await using lock = await lockAbandoned(cgroupName, lockDirectory);
    expect(lock).toBeDefined();
    await using next = await take(1);
    expect(next.cgroupName).not.toBe(cgroupName);
  });

  it("whose name is no worker's is left alone", async () => {
    expect(await lockAbandoned("ids-", lockDirectory)).toBeUndefined();
    expect(await lockAbandoned("ids-1/2", lockDirectory)).toBeUndefined();
    expect(await lockAbandoned("bench-1", lockDirectory)).toBeUndefined();
  });
});
