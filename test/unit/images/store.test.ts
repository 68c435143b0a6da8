import { lutimes, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf, hexOf } from "../../../worker/images/digest.ts";
import type { StoredLayer } from "../../../worker/images/layers.ts";
import type { ImageConfig } from "../../../worker/images/oci.ts";
import { ImageStore } from "../../../worker/images/store.ts";

let directory: string;
let store: ImageStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-images-"));
  store = await ImageStore.open(directory);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function stage(name: string, content: string): Promise<string> {
  const path = join(directory, "staging", name);
  await mkdir(join(path, "etc"), { recursive: true });
  await writeFile(join(path, "etc/motd"), content);
  await symlink("motd", join(path, "etc/issue"));
  return path;
}

function configurationOf(...layers: StoredLayer[]): ImageConfig {
  return {
    architecture: "amd64",
    os: "linux",
    config: { Env: ["PATH=/usr/bin"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  };
}

describe("layers", () => {
  it("moves a directory to the address of its content", async () => {
    const staged = await stage("one", "hello");
    const layer = await store.layers.commit(staged);
    expect(await readdir(layer.path)).toEqual(["etc"]);
    expect(await readdir(join(directory, "staging"))).toEqual([]);
    expect(layer.path).toBe(join(directory, "layers/sha256", hexOf(layer.digest)));
    expect(await store.layers.get(layer.digest)).toEqual(layer);
  });

  it("stores one directory for the same tree made twice, whatever the order of making", async () => {
    const first = await stage("one", "hello");
    const second = join(directory, "staging/two");
    await mkdir(join(second, "etc"), { recursive: true });
    await symlink("motd", join(second, "etc/issue"));
    await writeFile(join(second, "etc/motd"), "hello");
    for (const root of [first, second]) {
      await lutimes(join(root, "etc/issue"), 1, 1);
      for (const path of ["etc/motd", "etc", "."]) await utimes(join(root, path), 1, 1);
    }
    const layers = [await store.layers.commit(first), await store.layers.commit(second)];
    expect(layers[0]).toEqual(layers[1]);
    expect(await store.layers.list()).toEqual([layers[0]]);
  });

  it("gives another content another address", async () => {
    const layers = [
      await store.layers.commit(await stage("one", "a")),
      await store.layers.commit(await stage("two", "b")),
    ];
    expect(layers[0]?.digest).not.toBe(layers[1]?.digest);
  });
});

describe("images", () => {
  it("are found by name and by digest, with their layers from the lowest up", async () => {
    const [low, high] = [
      await store.layers.commit(await stage("one", "a")),
      await store.layers.commit(await stage("two", "b")),
    ];
    const committed = await store.commit("example.org/tool:1", configurationOf(low, high), [low, high], {});
    const elsewhere = await ImageStore.open(directory);
    expect(await elsewhere.resolve("example.org/tool:1")).toEqual(committed);
    expect((await elsewhere.resolve(committed.digest))?.layers).toEqual([low, high]);
    expect((await elsewhere.list()).map(({ reference }) => reference)).toEqual(["example.org/tool:1"]);
  });

  it("are not found by a name, a path, or a digest that the store does not have", async () => {
    const names = [
      "nothing",
      "../blobs/sha256",
      "..",
      ".",
      "",
      "x".repeat(5000),
      digestOf("nothing"),
      "nul\0",
      "\ud800",
    ];
    const found = await Promise.all(names.map((name) => store.resolve(name)));
    expect(found).toEqual(names.map(() => undefined));
  });

  it("follow their name when it moves, in every process that has the store open", async () => {
    const layer = await store.layers.commit(await stage("one", "a"));
    const elsewhere = await ImageStore.open(directory);
    await store.commit("tool", configurationOf(layer), [layer], {});
    expect((await elsewhere.resolve("tool"))?.config.os).toBe("linux");
    const next = await store.commit("tool", { ...configurationOf(layer), author: "somebody" }, [layer], {});
    expect((await elsewhere.resolve("tool"))?.digest).toBe(next.digest);
  });

  it("count a layer that they share once", async () => {
    const layer = await store.layers.commit(await stage("one", "a"));
    await store.commit("one", configurationOf(layer), [layer], {});
    await store.commit("two", configurationOf(layer), [layer], {});
    expect(await store.size()).toEqual({ images: 2, layers: 1, bytes: layer.bytes });
  });

  it("are refused when a blob is not what its name says", async () => {
    const layer = await store.layers.commit(await stage("one", "a"));
    const { digest } = await store.commit("tool", configurationOf(layer), [layer], {});
    await writeFile(join(directory, "blobs/sha256", hexOf(digest)), "{}");
    const elsewhere = await ImageStore.open(directory);
    await expect(elsewhere.resolve("tool")).rejects.toThrow(/damaged/);
  });

  it("are refused by name when a layer of theirs is gone", async () => {
    const layer = await store.layers.commit(await stage("one", "a"));
    await store.commit("tool", configurationOf(layer), [layer], {});
    await rm(layer.path, { recursive: true });
    const elsewhere = await ImageStore.open(directory);
    await expect(elsewhere.resolve("tool")).rejects.toThrow(`layer ${layer.digest}`);
  });
});
