import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ID_RANGE_END, IDS_PER_SLOT } from "../../../shared/ids.ts";
import { isWorkerName, WorkerIdentity } from "../../../worker/identity.ts";

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
  it("have user ids and names of their own", async () => {
    await using first = await take(2);
    await using second = await take(2);
    expect([first.idBase, second.idBase]).toEqual([ID_BASE, ID_BASE + IDS_PER_BLOCK]);
    expect(first.name).not.toBe(second.name);
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

  it("take the ids of one that has ended, and no name that there was before", async () => {
    const ended = await take(2);
    await ended[Symbol.asyncDispose]();
    await using successor = await take(2);
    expect(successor.idBase).toBe(ended.idBase);
    expect(successor.id).not.toBe(ended.id);
    expect(successor.name).not.toBe(ended.name);
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

it("the name of a worker is told from other names", async () => {
  await using worker = await take(1);
  expect(isWorkerName(worker.name)).toBe(true);
  const others = [
    "worker-448",
    "ids-448",
    "bench-1",
    "test-448-abcdef",
    `${worker.name}0`,
    `${worker.name}\n`,
    worker.id,
  ];
  expect(others.filter(isWorkerName)).toEqual([]);
});
