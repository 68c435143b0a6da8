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
import { BuildCache } from "../../../worker/images/dockerfile/build-cache.ts";
import { commitKeptRun } from "../../../worker/images/kept/commit.ts";
import type { ImageOrigin } from "../../../worker/images/references.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { clearLeftovers } from "../../../worker/images/sweep.ts";
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
  return addFrom("pulled", reference, names);
}

async function addFrom(origin: ImageOrigin, reference: string, names: readonly string[]): Promise<StoredImage> {
  await using addition = await store.beginAddition();
  const layers = names.map((name) => layerOf(tarArchive({ name, content: "x".repeat(100_000) }), "none"));
  return addImageOf(addition, reference, layers, origin);
}

/** Says when an image was last used, in minutes ago. */
async function use(image: StoredImage, minutesAgo: number): Promise<void> {
  await (await store.leases.take(image.digest))[Symbol.asyncDispose]();
  const at = new Date(Date.now() - minutesAgo * 60_000);
  await utimes(join(directory, "leases", hexOf(image.digest)), at, at);
  await utimes(store.blobs.pathOf(image.digest), at, at);
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

  it("takes an image that was pulled again for a new one", async () => {
    await use(await add("again", "a"), 60);
    await use(await add("once", "b"), 30);
    await add("again", "a");
    expect(await collectGarbage(store, { bytesMax: 250_000 })).toMatchObject({ images: ["once"] });
  });

  it("counts and keeps a layer that an image which stays shares", async () => {
    const [small, large] = [await add("small", "a"), await add("large", "a", "b")];
    await use(large, 20);
    await use(small, 10);
    expect(await collectGarbage(store, { bytesMax: 250_000 })).toMatchObject({ images: ["large"], layers: 1 });
    expect((await store.resolve("small"))?.layers).toEqual(small.layers);
  });
});

describe("an image that was made here", () => {
  it("stays whatever the limit, since nobody could have it again", async () => {
    await use(await addFrom("made", "built", ["a"]), 60);
    await use(await add("pulled", "b"), 1);
    expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ images: ["pulled"], layers: 1 });
    expect((await store.list()).map(({ reference }) => reference)).toEqual(["built"]);
    await untagImage(store, "built");
    expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ layers: 1, bytesLeft: 0 });
  });

  it("stays under each of its names, also one that was pulled, and its base does not have to", async () => {
    await add("base", "a");
    await add("tool", "a", "b");
    await addFrom("made", "tool-of-ours", ["a", "b"]);
    expect(await collectGarbage(store, { bytesMax: 0 })).toMatchObject({ images: ["base"], layers: 0 });
    expect((await store.list()).map(({ reference }) => reference)).toEqual(["tool", "tool-of-ours"]);
  });

  it("is one that was built, committed or imported, and of a store that does not say", async () => {
    const { digest, config, layers } = await addFrom("made", "imported", ["a"]);
    await store.commit("built", config, layers, {});
    await writeFile(join(directory, "references/earlier"), `${digest}\n`);
    const origins = ["built", "imported", "earlier"].map(async (name) => (await store.references.find(name))?.origin);
    expect(await Promise.all(origins)).toEqual(["made", "made", "made"]);
    await add("imported", "a");
    expect((await store.references.find("imported"))?.origin).toBe("pulled");
  });
});

describe("what a process leaves that is killed", () => {
  /** Every path of the store. */
  const paths = async (): Promise<string[]> => (await readdir(directory, { recursive: true })).sort();

  it("goes, wherever it lies, and what is whole stays", async () => {
    const { digest } = await add("tool", "a");
    await collectGarbage(store);
    await BuildCache.open(store);
    const before = await paths();
    const [hex, other, temporary] = ["0".repeat(64), "1".repeat(64), `.${randomUUID()}`];
    for (const path of [
      ...["layers/sha256", "blobs/sha256", "references", "kept", "build-cache"].map((each) => join(each, temporary)),
      `layers/sha256/${hex}.json`,
      `locks/${hex}.lock`,
      `staging/${hex}.blob`,
      `leases/${hex}`,
      `blobs/sha256/${hex}`,
    ])
      await writeFile(join(directory, path), "{}");
    // A step whose layer is gone, one that nobody met for long, and one that is no record.
    const record = (layer: string | null): string => JSON.stringify({ layer, created: "2020-01-01T00:00:00Z" });
    await writeFile(join(directory, `build-cache/${hex}.json`), record(`sha256:${hex}`));
    await writeFile(join(directory, `build-cache/${other}.json`), record(null));
    await utimes(join(directory, `build-cache/${other}.json`), 0, 0);
    await writeFile(join(directory, "build-cache/damaged.json"), "{");
    for (const path of [`staging/${hex}.layer/etc`, `parents/${hex}/etc`, `staging/build-1/scratch`])
      await mkdir(join(directory, path), { recursive: true });
    expect(await collectGarbage(store)).toMatchObject({ images: [], layers: 0, blobs: 1 });
    expect(await paths()).toEqual(before);
    expect((await store.resolve("tool"))?.digest).toBe(digest);
  });

  it("goes when a worker starts, but for what is whole: a pull that broke off goes on from there", async () => {
    {
      await using addition = await store.beginAddition();
      await addition.addLayer(layerOf(tarArchive({ name: "came" })));
    }
    await clearLeftovers(store);
    const before = await paths();
    expect(await store.layers.list()).toHaveLength(1);
    for (const path of [`staging/${"0".repeat(64)}.blob`, `layers/sha256/${"0".repeat(64)}.json`])
      await writeFile(join(directory, path), "{}");
    {
      await using _addition = await store.beginAddition();
      await clearLeftovers(store);
      expect(await readdir(join(directory, "staging"))).toHaveLength(1);
    }
    await clearLeftovers(store);
    expect(await paths()).toEqual(before);
  });

  it("keeps a step of a build whose layer is here, and one that changed nothing", async () => {
    const { layers } = await add("tool", "a");
    const cache = await BuildCache.open(store);
    const created = "2020-01-01T00:00:00Z";
    await cache.put("1".repeat(64), { layer: layers[0], created });
    await cache.put("2".repeat(64), { layer: undefined, created });
    await collectGarbage(store);
    expect(await cache.find("1".repeat(64))).toEqual({ layer: layers[0], created });
    expect(await cache.find("2".repeat(64))).toEqual({ layer: undefined, created });
  });

  it("is not collected twice: a record without its layer is no layer to anybody", async () => {
    const layer = (await add("tool", "a")).layers[0];
    if (layer === undefined) throw new Error("the image has no layer");
    // As a kill between the two steps of its removal leaves it.
    await rm(layer.path, { recursive: true });
    expect([await store.layers.get(layer.digest), await store.layers.list()]).toEqual([undefined, []]);
    await add("tool", "a");
    expect(await store.layers.get(layer.digest)).toEqual(layer);
  });

  it("goes when it was in the middle of unpacking", async () => {
    await add("tool", "a");
    await collectGarbage(store);
    const before = await paths();
    const from = (path: string): string => JSON.stringify(join(import.meta.dirname, "../../..", path));
    const source = `
      import { ImageStore } from ${from("worker/images/store.ts")};
      import { layerOf } from ${from("test/support/layer-sources.ts")};
      import { tarArchive } from ${from("test/support/tar.ts")};
      const store = await ImageStore.open(${JSON.stringify(directory)});
      await using addition = await store.beginAddition();
      await addition.addLayer(layerOf(tarArchive({ name: "small" })));
      await addition.addLayer(layerOf(tarArchive(...Array.from({ length: 30000 }, (_, index) => ({ name: "d/file-" + index })))));
    `;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], { stdio: "inherit" });
    const ended = once(child, "exit");
    // What is being listed may be gone in the middle.
    const staged = (): Promise<string[]> => readdir(join(directory, "staging"), { recursive: true }).catch(() => []);
    const isUnpacking = async (): Promise<boolean> => (await staged()).some((name) => name.includes(".layer/d/file"));
    while (child.exitCode === null && !(await isUnpacking()));
    child.kill("SIGKILL");
    expect((await ended)[1]).toBe("SIGKILL");
    expect(await isUnpacking()).toBe(true);
    expect(await collectGarbage(store)).toMatchObject({ layers: 1, blobs: 1 });
    expect(await paths()).toEqual(before);
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
