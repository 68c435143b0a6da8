/** Layers that jobs bring, on disk: made once, kept while they are used, gone when they are not. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DirectoryStorage } from "../../../shared/blobs/directory-storage.ts";
import type { Digest } from "../../../shared/digest.ts";
import { digestOf } from "../../../worker/images/digest.ts";
import { type InputLayer, InputLayers } from "../../../worker/images/inputs/input-layers.ts";
import { FileLock } from "../../../worker/images/lock.ts";
import { listTree } from "../../support/file-tree.ts";
import { tarArchive } from "../../support/tar.ts";

const OWNER = { uid: 1000, gid: 1000 };
/** An image without layers: places are found in the init layer alone. */
const IMAGE = { digest: digestOf("image"), lowerDirs: [] };
const ongoing = new AbortController().signal;

let directory: string;
let storage: DirectoryStorage;
/** How often a blob was read. */
let reads: number;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-inputs-"));
  await mkdir(join(directory, "init/work"), { recursive: true });
  storage = new DirectoryStorage(join(directory, "blobs"));
  reads = 0;
});
afterEach(async () => await rm(directory, { recursive: true }));

/** As another process has it: nothing is shared but the disk. */
async function openLayers(bytesMax = Number.MAX_SAFE_INTEGER): Promise<InputLayers> {
  return await InputLayers.open(join(directory, "inputs"), {
    blobs: {
      async open(digest) {
        reads++;
        return await storage.open(digest);
      },
    },
    initLayer: join(directory, "init"),
    layerBytesMax: 1_000_000,
    bytesMax,
  });
}

async function put(content: Buffer, digest: Digest = digestOf(content)): Promise<Digest> {
  const file = join(directory, "file");
  await writeFile(file, content);
  await storage.put(digest, file);
  return digest;
}

const tar = (content: string): Buffer => tarArchive({ name: "a", content });
const at = (blob: Digest, path = "/work"): InputLayer[] => [{ blob, at: path }];
const onDisk = async (): Promise<string[]> =>
  (await readdir(join(directory, "inputs/layers/sha256"))).filter((name) => !name.endsWith(".json"));
const staged = (): Promise<string[]> => readdir(join(directory, "inputs/staging"));

describe("a layer that jobs bring", () => {
  it("is fetched and unpacked once, by however many at once, in whatever process", async () => {
    const blob = await put(tar("a"));
    const [one, other] = [await openLayers(), await openLayers()];
    const leases = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other).lease(at(blob), IMAGE, OWNER, ongoing)),
    );
    expect(reads).toBe(1);
    expect(new Set(leases.map((lease) => lease.paths.join())).size).toBe(1);
    expect(await onDisk()).toHaveLength(1);
    expect(await staged()).toEqual([]);
    for (const lease of leases) await lease[Symbol.asyncDispose]();
  });

  it("is another one at another path and for another user", async () => {
    const blob = await put(tar("a"));
    const layers = await openLayers();
    await using one = await layers.lease(at(blob), IMAGE, OWNER, ongoing);
    await using other = await layers.lease(at(blob, "/other"), IMAGE, OWNER, ongoing);
    await using root = await layers.lease(at(blob), IMAGE, { uid: 0, gid: 0 }, ongoing);
    expect(new Set([one, other, root].flatMap(({ paths }) => paths)).size).toBe(3);
    const [path = ""] = root.paths;
    expect(listTree(path).map((line) => line.split(" ").slice(0, 4).join(" "))).toEqual([
      "/ directory 755 0:0",
      "/work directory 755 0:0",
      `/work/a ${digestOf("a").slice(7, 23)} 644 0:0`,
    ]);
  });

  it.each([
    ["is no tar", () => put(Buffer.from("text")), "blob_refused"],
    ["is not what its digest says", () => put(tar("b"), digestOf(tar("a"))), "blob_unavailable"],
    ["is not there", async () => digestOf("nothing"), "blob_unavailable"],
    ["is too large", () => put(tar("x".repeat(1_000_000))), "blob_refused"],
  ])("leaves nothing behind when its blob %s, and can be had when it is right", async (_, bring, code) => {
    const layers = await openLayers();
    const blob = await bring();
    await expect(layers.lease(at(blob), IMAGE, OWNER, ongoing)).rejects.toMatchObject({ code });
    expect([await onDisk(), await staged()]).toEqual([[], []]);
    await using lease = await layers.lease(at(await put(tar("a"))), IMAGE, OWNER, ongoing);
    expect(await readFile(join(lease.paths[0] ?? "", "work/a"), "utf8")).toBe("a");
  });

  it("is given up, and leaves nothing behind, when its job is canceled", async () => {
    const layers = await openLayers();
    const blob = await put(tar("a"));
    await expect(layers.lease(at(blob), IMAGE, OWNER, AbortSignal.abort())).rejects.toThrow("aborted");
    expect([await onDisk(), await staged()]).toEqual([[], []]);
  });

  it("goes when it has not been used since, and never while it is in use", async () => {
    const layers = await openLayers();
    const [used, unused] = [await put(tar("used")), await put(tar("unused"))];
    await using lease = await layers.lease(at(used), IMAGE, OWNER, ongoing);
    await using _other = await layers.lease(at(unused), IMAGE, OWNER, ongoing);
    await _other[Symbol.asyncDispose]();
    const another = await openLayers();
    expect(await another.removeUnused(new Date(0))).toBe(0);
    expect(await another.removeUnused(new Date(Date.now() + 1000))).toBe(1);
    expect(await onDisk()).toEqual([lease.paths[0]?.split("/").at(-1)]);
    await lease[Symbol.asyncDispose]();
    expect(await another.removeUnused(new Date(Date.now() + 1000))).toBe(1);
    expect([await onDisk(), await staged()]).toEqual([[], []]);
    // Whoever wants it again gets it again.
    await using again = await layers.lease(at(used), IMAGE, OWNER, ongoing);
    expect(await readFile(join(again.paths[0] ?? "", "work/a"), "utf8")).toBe("used");
  });

  it("makes room for others when there is too much: used longest ago first, and never what is in use", async () => {
    // A tar of one small file is 2048 bytes.
    const layers = await openLayers(2 * 2048);
    const blobs: Digest[] = [];
    for (const name of ["in use", "first", "second", "third"]) blobs.push(await put(tar(name)));
    const [inUse = digestOf(""), ...others] = blobs;
    await using lease = await layers.lease(at(inUse), IMAGE, OWNER, ongoing);
    for (const blob of others) await (await layers.lease(at(blob), IMAGE, OWNER, ongoing))[Symbol.asyncDispose]();
    expect(await onDisk()).toHaveLength(2);
    const before = reads;
    for (const blob of [inUse, others.at(-1) ?? inUse]) {
      await (await layers.lease(at(blob), IMAGE, OWNER, ongoing))[Symbol.asyncDispose]();
    }
    expect(reads).toBe(before);
    expect(await readFile(join(lease.paths[0] ?? "", "work/a"), "utf8")).toBe("in use");
  });

  it("that a process left half made when it died is cleared by the next one, unless somebody makes one now", async () => {
    await openLayers();
    const left = join(directory, "inputs/staging/left.layer");
    await mkdir(left);
    const lock = join(directory, "inputs/locks/staging.lock");
    {
      await using _busy = await FileLock.acquire(lock, ongoing, "shared");
      await openLayers();
      expect(await staged()).toEqual(["left.layer"]);
    }
    await openLayers();
    expect(await staged()).toEqual([]);
  });

  it("is all that is there when the layers are opened again after a kill", async () => {
    const layers = await openLayers();
    const blob = await put(tar("a"));
    await (await layers.lease(at(blob), IMAGE, OWNER, ongoing))[Symbol.asyncDispose]();
    const inputs = join(directory, "inputs");
    const before = (await readdir(inputs, { recursive: true })).toSorted();
    const hex = "0".repeat(64);
    for (const path of ["layers/sha256/.0123", `layers/sha256/${hex}.json`, `leases/${hex}`, `staging/${hex}.blob`])
      await writeFile(join(inputs, path), "{}");
    await openLayers();
    expect((await readdir(inputs, { recursive: true })).toSorted()).toEqual(before);
  });
});
