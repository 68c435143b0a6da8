/** How much may come from elsewhere: into an image, and into the store. */
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LayerSource, ImageRefusedError } from "../../../worker/images/addition.ts";
import { importImages } from "../../../worker/images/archive/import.ts";
import { hexOf } from "../../../worker/images/digest.ts";
import { collectGarbage } from "../../../worker/images/garbage.ts";
import type { ImageLimits } from "../../../worker/images/image-limits.ts";
import { hostArchitecture } from "../../../worker/images/oci.ts";
import { explainPullFailure } from "../../../worker/images/registry/pull-failure.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { makingRoom, StoreFullError } from "../../../worker/images/room.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { addImageOf, type CountedSource, layerOf } from "../../support/layer-sources.ts";
import { startRegistry } from "../../support/registry/docker-registry.ts";
import { copyToRegistry, makeImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";
import { tarArchive } from "../../support/tar.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-limits-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** A layer of a file of zeros; the tar has 1,536 bytes more, at most. */
const zeros = (name: string, bytes: number, compression: "gzip" | "none" = "gzip"): CountedSource =>
  layerOf(tarArchive({ name, content: Buffer.alloc(bytes) }), compression);

describe("an image from elsewhere", () => {
  const MIB = 1024 * 1024;

  /** Adds an image to a store with a limit of its own. @returns why it is refused */
  async function refusal(limits: Partial<ImageLimits>, sources: readonly LayerSource[]): Promise<string> {
    const store = await ImageStore.open(directory, { limits });
    await using addition = await store.beginAddition();
    const error = await addImageOf(addition, "large", sources).catch((reason: unknown) => reason);
    await addition[Symbol.asyncDispose]();
    if (!(error instanceof ImageRefusedError)) throw new Error("it is not refused", { cause: error });
    await collectGarbage(store);
    expect([await store.layers.list(), await store.blobs.list(), await readdir(join(directory, "staging"))]).toEqual([
      [],
      [],
      [],
    ]);
    return error.message;
  }

  it("is refused with a layer of too many bytes, and says where the limit is set", async () => {
    expect(await refusal({ layerBytesMax: 2 * MIB }, [zeros("a", 1 * MIB), zeros("b", 3 * MIB)])).toMatch(
      /^layer sha256:\w+ is refused: it is larger than 2097152 bytes unpacked: raise LONGSHORE_IMAGE_LAYER_BYTES if it should be here$/,
    );
  });

  it("is refused with a layer of too many entries", async () => {
    const many = layerOf(tarArchive({ name: "a" }, { name: "b" }, { name: "c" }));
    expect(await refusal({ layerEntriesMax: 2 }, [many])).toMatch(
      /it has more than 2 entries: raise LONGSHORE_IMAGE_LAYER_ENTRIES if/,
    );
  });

  it("is refused with a layer whose directories without an entry are too many", async () => {
    expect(
      await refusal({ layerEntriesMax: 50 }, [layerOf(tarArchive({ name: "d/".repeat(60) + "x" }, { name: "y" }))]),
    ).toMatch(/it has more than 50 entries/);
  });

  it("is refused with too many such directories in all of its layers, since each is looked for in all of them", async () => {
    const layers = ["a/b/x", "c/d/x", "e/f/x"].map((name) => layerOf(tarArchive({ name })));
    expect(await refusal({ impliedDirectoriesMax: 5 }, layers)).toBe(
      "the image has more than 5 directories that its layers have no entry of: list them",
    );
  });

  it("is refused before it is downloaded with a layer that is too large as it comes", async () => {
    const source = zeros("a", 1 * MIB, "none");
    expect(await refusal({ blobBytesMax: 1 * MIB }, [source])).toMatch(
      /it has 1050112 bytes as it comes, and 1048576 are allowed: raise LONGSHORE_IMAGE_BLOB_BYTES if/,
    );
    expect(source.opened()).toBe(0);
  });

  it("is refused with layers that are too large together, at once or one by one, also where they are here", async () => {
    const sources = ["a", "b", "c"].map((name) => zeros(name, 1 * MIB));
    const message =
      "the image is refused: its layers are larger than 3000000 bytes together, unpacked: raise LONGSHORE_IMAGE_BYTES if it should be here";
    expect(await refusal({ bytesMax: 3_000_000 }, sources)).toBe(message);

    const store = await ImageStore.open(directory, { limits: { bytesMax: 3_000_000 } });
    await using addition = await store.beginAddition();
    for (const source of sources) await addImageOf(addition, `image-${source.diffId}`, [source]);
    await expect(addImageOf(addition, "all", sources)).rejects.toThrow(message);
  });

  it("is refused as a file that is too large when it is decompressed", async () => {
    const store = await ImageStore.open(directory, { limits: { bytesMax: 2 * MIB, layerBytesMax: 1 * MIB } });
    const platform = { os: "linux", architecture: hostArchitecture(), variant: undefined };
    const path = join(directory, "rootfs.tar.gz");
    const importAs = (bytes: number): Promise<string> =>
      writeFile(path, gzipSync(tarArchive({ name: "zeros", content: Buffer.alloc(bytes) })))
        .then(() => importImages(store, path, { name: "large", platform }))
        .then(
          () => "imported",
          (error: unknown) => (error instanceof Error ? error.message : ""),
        );
    expect(await importAs(3 * MIB)).toBe(
      `${path} is larger than 2097152 bytes decompressed: raise LONGSHORE_IMAGE_BYTES if it should be here`,
    );
    expect(await importAs(1.5 * MIB)).toBe(
      `${path} is larger than 1048576 bytes unpacked: raise LONGSHORE_IMAGE_LAYER_BYTES if it should be here`,
    );
    expect(await readdir(join(directory, "staging"))).toEqual([]);
    expect(await importAs(0.5 * MIB)).toBe("imported");
  });

  it("counts a layer that it has several times once, and the layers of another image for that", async () => {
    const store = await ImageStore.open(directory, { limits: { bytesMax: 2_500_000 } });
    await using addition = await store.beginAddition();
    const [a, b, c] = ["a", "b", "c"].map((name) => zeros(name, 1 * MIB));
    if (a === undefined || b === undefined || c === undefined) throw new Error("there are three");
    expect((await addImageOf(addition, "one", [a, a, b, a])).layers).toHaveLength(4);
    expect((await addImageOf(addition, "two", [c, b])).layers).toHaveLength(2);
  });
});

describe("a store with a limit", () => {
  const BYTES_MAX = 1_000_000;
  let store: ImageStore;

  beforeEach(async () => {
    store = await ImageStore.open(directory, { bytesMax: BYTES_MAX });
  });

  /** What lies in the store right now, in bytes: what is whole, and what is in staging. */
  async function bytesHere(): Promise<number> {
    const { bytes } = await store.size();
    const blobs = await Promise.all((await store.blobs.list()).map((digest) => store.blobs.sizeOf(digest)));
    return bytes + blobs.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  }

  /** Pulls an image of a layer for each name, as large as it says, and as a blob as large again. */
  async function pull(reference: string, ...layers: readonly CountedSource[]): Promise<StoredImage> {
    return makingRoom(store, async () => {
      await using addition = await store.beginAddition();
      return await addImageOf(addition, reference, layers, "pulled");
    });
  }

  async function use(image: StoredImage, minutesAgo: number): Promise<void> {
    await (await store.leases.take(image.digest))[Symbol.asyncDispose]();
    const at = new Date(Date.now() - minutesAgo * 60_000);
    await utimes(join(directory, "leases", hexOf(image.digest)), at, at);
    await utimes(store.blobs.pathOf(image.digest), at, at);
  }

  const names = async (): Promise<string[]> => (await store.list()).map(({ reference }) => reference);

  it("makes room for a pull, by the images least recently used, and no more than it has to", async () => {
    await use(await pull("old", zeros("old", 150_000, "none")), 30);
    await use(await pull("older", zeros("older", 150_000, "none")), 60);
    await use(await pull("oldest", zeros("oldest", 150_000, "none")), 90);
    await pull("new", zeros("new", 100_000, "none"));
    expect(await names()).toEqual(["new", "old", "older"]);
    expect(await bytesHere()).toBeLessThanOrEqual(BYTES_MAX);
  });

  it("does not download again what came before there was no room", async () => {
    await use(await pull("old", zeros("old", 300_000, "none")), 30);
    const [first, second] = [zeros("first", 50_000, "none"), zeros("second", 150_000, "none")];
    await makingRoom(store, async () => {
      await using addition = await store.beginAddition();
      await addition.addLayer(first);
      return await addImageOf(addition, "new", [first, second], "pulled");
    });
    expect(await names()).toEqual(["new"]);
    expect(first.opened()).toBe(1);
  });

  it("does not remove what a pull needs of an image that goes for it", async () => {
    await use(await pull("old", zeros("shared", 150_000, "none"), zeros("old", 200_000, "none")), 30);
    const shared = zeros("shared", 150_000, "none");
    await pull("new", shared, zeros("new", 200_000, "none"));
    expect([shared.opened(), await names()]).toEqual([0, ["new"]]);
  });

  it("takes an image that just fits, when all others are gone", async () => {
    await use(await pull("old", zeros("old", 200_000, "none")), 30);
    await use(await pull("other", zeros("other", 200_000, "none")), 20);
    await pull("large", zeros("first", 100_000), zeros("second", 860_000));
    expect(await names()).toEqual(["large"]);
    expect(await bytesHere()).toBeLessThanOrEqual(BYTES_MAX);
  });

  it("refuses a bomb in the middle of unpacking", async () => {
    const bomb = zeros("bomb", 100_000_000);
    expect(bomb.descriptor.size).toBeLessThan(BYTES_MAX / 2);
    await expect(pull("bomb", bomb)).rejects.toThrow(StoreFullError);
    await expect(pull("bomb", bomb)).rejects.toThrow(
      /^there is no room for layer sha256:\w+: all images here may have 1000000 bytes, .* raise LONGSHORE_IMAGE_CACHE_BYTES if it should be here$/,
    );
    expect(await bytesHere()).toBeLessThanOrEqual(BYTES_MAX);
    expect(await readdir(join(directory, "staging"))).toEqual([]);
    await collectGarbage(store);
    expect(await store.size()).toMatchObject({ layers: (await store.list()).length });
  });

  it("refuses a blob that is larger than all of it before anything is removed or downloaded", async () => {
    await pull("innocent", zeros("innocent", 100_000));
    const large = zeros("large", 2 * BYTES_MAX, "none");
    await expect(pull("large", large)).rejects.toThrow(StoreFullError);
    expect([large.opened(), await names()]).toEqual([0, ["innocent"]]);
  });

  it("never removes images in use, or made here, for a pull", async () => {
    await use(await pull("busy", zeros("busy", 100_000, "none")), 60);
    {
      await using addition = await store.beginAddition();
      await addImageOf(addition, "made", [zeros("made", 100_000, "none")]);
    }
    await using lease = await store.lease("busy");
    expect(lease).toBeDefined();
    await expect(pull("new", zeros("new", 400_000, "none"))).rejects.toThrow(/there is no room/);
    expect(await names()).toEqual(["busy", "made"]);
    expect((await pull("small", zeros("small", 100_000, "none"))).layers).toHaveLength(1);
  });

  it("counts what several pulls add at once", async () => {
    const results = await Promise.allSettled(
      ["a", "b", "c", "d"].map((name) => pull(name, zeros(name, 200_000, "none"))),
    );
    for (const result of results)
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(StoreFullError);
    expect(results.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(0);
    expect(await bytesHere()).toBeLessThanOrEqual(BYTES_MAX);
  });

  it("holds for pulls from a registry: the image least recently used goes, and what cannot fit is said to clients", async () => {
    await using registry = await startRegistry();
    const pullFrom = async (name: string, bytesMax: number): Promise<StoredImage> =>
      pullImage(await ImageStore.open(directory, { bytesMax }), `${registry.host}/${name}:1`, settings);
    for (const name of ["one", "two"]) {
      const image = await makeImage(await mkdtemp(join(directory, "layout-")), name, [400_000, 100_000]);
      await copyToRegistry(image, `${registry.host}/${name}:1`);
    }
    await use(await pullFrom("one", 1_200_000), 30);
    await use(await pullFrom("two", 1_200_000), 20);
    expect(await names()).toEqual([`${registry.host}/two:1`]);
    const error = await pullFrom("one", 900_000).catch((reason: unknown) => reason);
    expect(explainPullFailure(error)).toMatchObject({
      code: "image_unavailable",
      retry: "pointless",
      message: expect.stringMatching(/all images here may have 900000 bytes.* raise LONGSHORE_IMAGE_CACHE_BYTES/),
    });
  });
});
