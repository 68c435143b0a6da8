/** Garbage collection on a real store: what goes, what stays, and who is in its way. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hexOf } from "../../../worker/images/digest.ts";
import { collectGarbage, untagImage } from "../../../worker/images/garbage.ts";
import { commitKeptRun } from "../../../worker/images/kept/commit.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { addImageOf, layerOf } from "../../support/layer-sources.ts";
import { tarArchive } from "../../support/tar.ts";

let directory: string;
let store: ImageStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-garbage-"));
  store = await ImageStore.open(directory);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** An image of one layer for each name; layers of one name are the same. */
async function add(reference: string, ...names: readonly string[]): Promise<StoredImage> {
  await using addition = await store.beginAddition();
  const layers = names.map((name) => layerOf(tarArchive({ name, content: "x".repeat(100_000) }), "none"));
  return addImageOf(addition, reference, layers);
}

/** Says when an image was last used, in minutes ago. */
async function use(image: StoredImage, minutesAgo: number): Promise<void> {
  await (await store.leases.take(image.digest))[Symbol.asyncDispose]();
  const at = new Date(Date.now() - minutesAgo * 60_000);
  await utimes(join(directory, "leases", hexOf(image.digest)), at, at);
}

const layersLeft = async (): Promise<number> => (await store.layers.list()).length;

describe("garbage collection", () => {
  it("removes what only images without a name needed", async () => {
    await add("one", "shared", "own");
    const two = await add("two", "shared", "other");
    expect(await untagImage(store, "one")).toEqual(["one"]);
    expect(await collectGarbage(store)).toMatchObject({ images: [], layers: 1, blobs: 3 });
    expect(await store.resolve("two")).toEqual(two);
    expect(await layersLeft()).toBe(2);
    expect(await collectGarbage(store)).toMatchObject({ layers: 0, blobs: 0 });
  });

  it("removes all names of an image that is named by its digest", async () => {
    const { digest } = await add("one", "a");
    await add("another", "a");
    expect((await untagImage(store, digest)).toSorted()).toEqual(["another", "one"]);
    await collectGarbage(store);
    expect([await layersLeft(), await store.blobs.list()]).toEqual([0, []]);
    expect(await untagImage(store, digest)).toEqual([]);
  });

  it("clears what a process that died left in staging", async () => {
    await mkdir(join(directory, "staging/0123.layer/etc"), { recursive: true });
    await writeFile(join(directory, "staging/0123.blob"), "half");
    await collectGarbage(store);
    expect(await readdir(join(directory, "staging"))).toEqual([]);
  });

  it("waits for another time while somebody adds an image", async () => {
    const addition = await store.beginAddition();
    const layer = await addition.addLayer(layerOf(tarArchive({ name: "x" })));
    expect(await collectGarbage(store)).toBeUndefined();
    await addition[Symbol.asyncDispose]();
    expect(await store.layers.get(layer.digest)).toEqual(layer);
    expect(await collectGarbage(store)).toMatchObject({ layers: 1 });
  });

  it("stops at an image that is damaged, and goes on when that is removed", async () => {
    const { digest } = await add("damaged", "a");
    await writeFile(store.blobs.pathOf(digest), "{}");
    const elsewhere = await ImageStore.open(directory);
    await expect(collectGarbage(elsewhere)).rejects.toThrow(/damaged/);
    await untagImage(elsewhere, "damaged");
    expect(await collectGarbage(elsewhere)).toMatchObject({ layers: 1 });
  });
});

describe("a limit on the size", () => {
  it("removes the images least recently used, until the rest fits", async () => {
    const [old, older, recent] = [await add("old", "a"), await add("older", "b"), await add("recent", "c")];
    await use(old, 10);
    await use(older, 20);
    await use(recent, 1);
    // Each is a layer of 101,888 bytes, and its blob of as many.
    expect(await collectGarbage(store, { bytesMax: 500_000 })).toMatchObject({ images: ["older"], layers: 1 });
    expect(await collectGarbage(store, { bytesMax: 250_000 })).toMatchObject({ images: ["old"] });
    expect((await store.list()).map(({ reference }) => reference)).toEqual(["recent"]);
  });

  it("takes an image that was never used for as old as it is", async () => {
    await use(await add("used", "a"), 60);
    await add("new", "b");
    expect(await collectGarbage(store, { bytesMax: 250_000 })).toMatchObject({ images: ["used"] });
  });

  it("counts and keeps a layer that an image which stays shares", async () => {
    const [small, large] = [await add("small", "a"), await add("large", "a", "b")];
    await use(large, 20);
    await use(small, 10);
    expect(await collectGarbage(store, { bytesMax: 250_000 })).toMatchObject({ images: ["large"], layers: 1 });
    expect((await store.resolve("small"))?.layers).toEqual(small.layers);
  });
});

describe("a run that is kept", () => {
  /** Keeps what a job might have written on an image, and ends an hour from now. */
  async function keep(image: StoredImage, bytesMax = 1e9, hours = 1): Promise<string> {
    const upper = join(directory, "staging", "upper");
    const job = randomUUID();
    await mkdir(upper);
    await writeFile(join(upper, job), "x".repeat(100_000));
    await using _content = await store.keepContent();
    const { digest, bytes } = await store.layers.commit(upper);
    const [createdAt, expiresAt] = [0, hours].map((after) => new Date(Date.now() + after * 3_600_000).toISOString());
    const run = { job, image: image.digest, createdAt: createdAt ?? "", expiresAt: expiresAt ?? "" };
    await store.kept.put({ ...run, layers: [{ digest, bytes, createdBy: "test" }] }, bytesMax);
    return job;
  }

  it("keeps its layer and its image, also without a name and whatever the limit, until it expires", async () => {
    const job = await keep(await add("base", "a"));
    await untagImage(store, "base");
    expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ images: [], layers: 0, blobs: 0 });
    const { layers } = await commitKeptRun(store, job, "committed");
    expect(layers).toHaveLength(2);
    await untagImage(store, "committed");
    const run = await store.kept.get(job);
    if (run === undefined) throw new Error("it has gone too early");
    await store.kept.put({ ...run, expiresAt: run.createdAt }, 1e9);
    await expect(commitKeptRun(store, job, "late")).rejects.toThrow(/no layer of job/);
    expect(await collectGarbage(store)).toMatchObject({ layers: 2 });
    expect([await store.kept.removeExpired(), await readdir(join(directory, "kept"))]).toEqual([1, []]);
  });

  it("makes room for another one, the oldest first, and what is damaged is forgotten", async () => {
    const image = await add("base", "a");
    const [first, second] = [await keep(image), await keep(image)];
    const third = await keep(image, 250_000);
    expect(await store.kept.get(first)).toBeUndefined();
    expect((await store.kept.list()).map(({ job }) => job).toSorted()).toEqual([second, third].toSorted());
    expect(await collectGarbage(store)).toMatchObject({ layers: 1 });
    await writeFile(join(directory, "kept", `${second}.json`), "{}");
    expect([await store.kept.removeExpired(), await collectGarbage(store)]).toMatchObject([1, { layers: 1 }]);
  });
});

describe("an image in use", () => {
  it("is never removed, whatever the limit, and goes when it is let go", async () => {
    await add("busy", "a");
    {
      await using lease = await store.lease("busy");
      expect(lease?.image.layers).toHaveLength(1);
      expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ images: [], layers: 0 });
    }
    expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ images: ["busy"], layers: 1, bytesLeft: 0 });
    expect(await readdir(join(directory, "leases"))).toEqual([]);
  });

  it("keeps its layers also when it loses its name", async () => {
    const { digest, layers } = await add("moving", "a");
    await using lease = await store.lease("moving");
    await add("moving", "b");
    expect(await collectGarbage(store)).toMatchObject({ layers: 0 });
    expect(await store.layers.list()).toHaveLength(2);
    await lease?.[Symbol.asyncDispose]();
    expect(await collectGarbage(store)).toMatchObject({ layers: 1 });
    expect(await store.layers.get(layers[0]?.digest ?? digest)).toBeUndefined();
  });

  it("is known across processes, and no more when its user is killed", async () => {
    await add("busy", "a");
    const source = `
      import { ImageStore } from ${JSON.stringify(join(import.meta.dirname, "../../../worker/images/store.ts"))};
      const store = await ImageStore.open(${JSON.stringify(directory)});
      globalThis.lease = await store.lease("busy");
      console.log("held");
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    // It may end before, with what went wrong on our stderr.
    const ended = once(child, "exit");
    const held = once(child.stdout, "data");
    expect(await Promise.race([held.then(() => "held"), ended])).toBe("held");
    await untagImage(store, "busy");
    expect(await collectGarbage(store)).toMatchObject({ layers: 0 });
    child.kill("SIGKILL");
    await ended;
    expect(await collectGarbage(store)).toMatchObject({ layers: 1 });
  });

  it("cannot be leased any more once it is gone", async () => {
    const { digest } = await add("gone", "a");
    await untagImage(store, "gone");
    expect([await store.lease("gone"), await store.lease(digest)]).toEqual([undefined, undefined]);
  });
});
