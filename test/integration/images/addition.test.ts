/** Adding layers: once however many want them, and all or nothing whatever happens in between. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hexOf } from "../../../worker/images/digest.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { addImageOf, documentsOf, layerOf, layerOfBlob } from "../../support/layer-sources.ts";
import { tarArchive } from "../../support/tar.ts";

const run = promisify(execFile);

const tar = tarArchive({ name: "etc/", type: "5" }, { name: "etc/motd", content: "hello" });

let directory: string;
let store: ImageStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-addition-"));
  store = await ImageStore.open(join(directory, "images"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Starts a process that runs a few lines of TypeScript, with `store`, `sources` and the functions of this test's support. */
function startElsewhere(script: string): ChildProcess & { readonly stdout: Readable } {
  const from = (path: string): string => JSON.stringify(join(import.meta.dirname, "../../..", path));
  const source = `
    import { Readable } from "node:stream";
    import { ImageStore } from ${from("worker/images/store.ts")};
    import { layerOf } from ${from("test/support/layer-sources.ts")};
    import { tarArchive } from ${from("test/support/tar.ts")};
    const store = await ImageStore.open(${JSON.stringify(store.directory)});
    ${script}
  `;
  return spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

describe("a layer that many want at once", () => {
  it("is fetched and unpacked once in a process", async () => {
    const source = layerOf(tar);
    await using addition = await store.beginAddition();
    const layers = await Promise.all(Array.from({ length: 5 }, () => addition.addLayer(source)));
    expect(source.opened()).toBe(1);
    expect(new Set(layers.map(({ path }) => path)).size).toBe(1);
  });

  it("is fetched and unpacked once by several processes", async () => {
    const script = `
      const source = layerOf(tarArchive(...Array.from({ length: 500 }, (_, index) => ({ name: "file-" + index, content: "x".repeat(1000) }))));
      await using addition = await store.beginAddition();
      await addition.addLayer(source);
      console.log(source.opened());
    `;
    const outputs = await Promise.all(
      [1, 2, 3].map(async () => (await buffer(startElsewhere(script).stdout)).toString()),
    );
    expect(outputs.sort()).toEqual(["0\n", "0\n", "1\n"]);
    expect(await store.layers.list()).toHaveLength(1);
  });

  it("is refused to an image that says something else of it, though it is here", async () => {
    await using addition = await store.beginAddition();
    const [one, other] = [layerOf(tar, "none"), layerOf(tarArchive({ name: "other" }), "none")];
    for (const source of [one, other]) await addition.addLayer(source);
    const larger = { ...one, descriptor: { ...one.descriptor, size: one.descriptor.size + 1 } };
    await expect(addition.addLayer(larger)).rejects.toThrow(
      `is refused: it has ${tar.length} bytes, not the ${tar.length + 1} of its manifest`,
    );
    await expect(addition.addLayer({ ...one, diffId: other.diffId })).rejects.toThrow(
      `is refused: it is not compressed, and not the ${other.diffId} of its image`,
    );
    expect([one.opened(), other.opened()]).toEqual([1, 1]);
  });

  it("is refused to an image that has it from a blob of something else", async () => {
    await using addition = await store.beginAddition();
    const [one, other] = [layerOf(tar), layerOf(tarArchive({ name: "other" }))];
    await addition.addLayer(one);
    const mistaken = { ...other, diffId: one.diffId };
    await expect(addition.addLayer(mistaken)).rejects.toThrow(`layer ${other.descriptor.digest} is refused`);
    expect(await store.hasBlob(other.descriptor.digest)).toBe(false);
    // Nor when that blob is here as well, as what it is.
    await addition.addLayer(other);
    await expect(addition.addLayer(mistaken)).rejects.toThrow(`layer ${other.descriptor.digest} is refused`);
    expect(await store.layers.list()).toHaveLength(2);
  });

  it("is compressed in another way by another image, and stored once", async () => {
    await using addition = await store.beginAddition();
    const layers = [];
    for (const compression of ["gzip", "zstd", "none"] as const) {
      layers.push(await addition.addLayer(layerOf(tar, compression)));
    }
    expect(new Set(layers.map(({ path }) => path)).size).toBe(1);
    for (const compression of ["gzip", "zstd", "none"] as const) {
      expect(await store.hasBlob(layerOf(tar, compression).descriptor.digest)).toBe(true);
    }
  });

  it("is not fetched again for another image", async () => {
    await using addition = await store.beginAddition();
    const first = layerOf(tar);
    await addImageOf(addition, "one", [first]);
    const second = layerOf(tar);
    await addImageOf(addition, "two", [second]);
    expect([first.opened(), second.opened()]).toEqual([1, 0]);
  });

  it("is one directory when it comes compressed in different ways", async () => {
    await using addition = await store.beginAddition();
    const sources = [layerOf(tar, "gzip"), layerOf(tar, "zstd"), layerOf(tar, "none")];
    const layers = await Promise.all(sources.map((source) => addition.addLayer(source)));
    expect(new Set(layers.map(({ path }) => path)).size).toBe(1);
    expect(await Promise.all(sources.map(({ descriptor }) => store.hasBlob(descriptor.digest)))).toEqual([
      true,
      true,
      true,
    ]);
  });
});

describe("a compressed layer", () => {
  it("is given out again as it came", async () => {
    const blob = gzipSync(tar, { level: 9 });
    await using addition = await store.beginAddition();
    const source = layerOfBlob(blob, tar, "gzip");
    const image = await addImageOf(addition, "tool", [source]);
    expect(await buffer(await store.openBlob(source.descriptor.digest))).toEqual(blob);
    expect(await buffer(await store.openBlob(image.digest))).toEqual(documentsOf([source]).manifest);
  });

  it("may be of several gzip members or zstd frames, one after the other", async () => {
    const halves = [tar.subarray(0, 700), tar.subarray(700)];
    await using addition = await store.beginAddition();
    const gzip = layerOfBlob(Buffer.concat(halves.map((half) => gzipSync(half))), tar, "gzip");
    expect(await readFile(join((await addition.addLayer(gzip)).path, "etc/motd"), "utf8")).toBe("hello");
    await store.layers.remove(gzip.diffId, join(directory, "grave"));
    const zstd = layerOfBlob(Buffer.concat(halves.map((half) => zstdCompressSync(half))), tar, "zstd");
    expect(await readFile(join((await addition.addLayer(zstd)).path, "etc/motd"), "utf8")).toBe("hello");
  });
});

describe("a process that is killed while it adds a layer", () => {
  it.each([
    [
      "as the blob comes in",
      `open: () => Readable.from((async function* () { yield Buffer.alloc(10); console.log("up"); await new Promise(() => setInterval(() => {}, 1000)); })())`,
    ],
    ["as the layer is unpacked", `open: () => (console.log("up"), Readable.from([blob]))`],
  ])("%s leaves nothing that shows, and the next one succeeds", async (_, open) => {
    const entries = `Array.from({ length: 20000 }, (_, index) => ({ name: "file-" + index, content: "x" }))`;
    const child = startElsewhere(`
      const tar = tarArchive(...${entries});
      const source = layerOf(tar, "none");
      const blob = tar;
      await using addition = await store.beginAddition();
      await addition.addLayer({ ...source, ${open} });
    `);
    await once(child.stdout, "data");
    if (open.includes('console.log("up"), ')) await stagedTree();
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await store.layers.list()).toEqual([]);
    expect(await readdir(join(store.directory, "blobs/sha256"))).toEqual([]);

    await using addition = await store.beginAddition();
    const source = layerOf(
      tarArchive(...Array.from({ length: 20_000 }, (_, index) => ({ name: `file-${index}`, content: "x" }))),
      "none",
    );
    const layer = await addition.addLayer(source);
    expect(await readdir(layer.path)).toHaveLength(20_000);
    expect(await readdir(join(store.directory, "staging"))).toEqual([]);
  });

  /** Waits until the first files of a layer are there. */
  async function stagedTree(): Promise<void> {
    for (;;) {
      const staged = await readdir(join(store.directory, "staging"));
      const tree = staged.find((name) => name.endsWith(".layer"));
      if (tree !== undefined && (await readdir(join(store.directory, "staging", tree))).length > 0) return;
    }
  }
});

describe("adding that is aborted", () => {
  it("ends, and leaves nothing", async () => {
    const controller = new AbortController();
    await using addition = await store.beginAddition();
    const endless = {
      ...layerOf(tar),
      open: () => new Readable({ read: () => controller.abort(new Error("enough")) }),
    };
    await expect(addition.addLayer(endless, { signal: controller.signal })).rejects.toThrow(/abort|enough/);
    expect(await readdir(join(store.directory, "staging"))).toEqual([]);
    expect((await addition.addLayer(layerOf(tar))).bytes).toBe(tar.length);
  });
});

describe("a disk that is full", () => {
  it.each([
    ["as the blob comes in", "none"],
    ["as the layer is unpacked", "gzip"],
  ])("%s leaves nothing of the layer, and everything else", async (_, compression) => {
    const path = (name: string): string => JSON.stringify(join(import.meta.dirname, "../../..", name));
    const source = `
      import { readdir } from "node:fs/promises";
      import { ImageStore } from ${path("worker/images/store.ts")};
      import { layerOf } from ${path("test/support/layer-sources.ts")};
      import { tarArchive } from ${path("test/support/tar.ts")};
      const store = await ImageStore.open(${JSON.stringify(store.directory)});
      await using addition = await store.beginAddition();
      const small = await addition.addLayer(layerOf(tarArchive({ name: "small" })));
      const large = layerOf(tarArchive({ name: "fits", content: Buffer.alloc(1e6) }, { name: "large", content: Buffer.alloc(8e6) }), "${compression}");
      const reason = await addition.addLayer(large).then(() => "added", (error) => error.message);
      const left = [await readdir(store.directory + "/staging"), await store.layers.list(), (await store.blobs.list()).length];
      const after = await addition.addLayer(layerOf(tarArchive({ name: "after" }))).then(() => "added");
      console.log(JSON.stringify({ reason, left, small, after }));
    `;
    // A file system of its own, which goes with its mount namespace.
    const script = `mount -t tmpfs -o size=4m tmpfs ${store.directory} && exec "$0" --input-type=module-typescript --eval "$1"`;
    const { stdout } = await run("unshare", ["--mount", "sh", "-euc", script, process.execPath, source]);
    const { reason, left, small, after } = JSON.parse(stdout) as Record<string, unknown>;
    expect(reason).toMatch(/ENOSPC/);
    expect([left, after]).toEqual([[[], [small], 1], "added"]);
  });
});

describe("a damaged blob", () => {
  it("is not taken for a layer that is unpacked again", async () => {
    await using addition = await store.beginAddition();
    const source = layerOf(tar);
    await addition.addLayer(source);
    await store.layers.remove(source.diffId, join(directory, "grave"));
    await writeFile(join(store.directory, "blobs/sha256", hexOf(source.descriptor.digest)), "damaged");
    await expect(addition.addLayer(source)).rejects.toThrow(/its gzip stream is damaged/);
    expect(await store.layers.list()).toEqual([]);
  });
});
