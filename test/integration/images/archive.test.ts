/** Images into and out of files, with skopeo and umoci on the other side. */
import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exportToDirectory, exportToTar } from "../../../worker/images/archive/export.ts";
import { importImages } from "../../../worker/images/archive/import.ts";
import { digestOf, hexOf } from "../../../worker/images/digest.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { listTree } from "../../support/file-tree.ts";
import { addImageOf, layerOf } from "../../support/layer-sources.ts";
import { tarArchive } from "../../support/tar.ts";

const run = promisify(execFile);
const platform = { os: "linux", architecture: "amd64" };
const LAYOUT = `{"imageLayoutVersion":"1.0.0"}`;

let directory: string;
let store: ImageStore;
let elsewhere: ImageStore;
let image: StoredImage;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-archive-"));
  store = await ImageStore.open(join(directory, "images"));
  elsewhere = await ImageStore.open(join(directory, "elsewhere"));
  await using addition = await store.beginAddition();
  const lower = tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/motd", content: "hello" });
  const upper = tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/.wh.motd" }, { name: "etc/new" });
  image = await addImageOf(addition, "example.org/tool:1", [layerOf(lower, "gzip"), layerOf(upper, "zstd")]);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** The files of all layers; when a whiteout was made, nobody ever sees. */
function filesOf(of: StoredImage | undefined): string[][] {
  return (of?.layers ?? []).map(({ path }) =>
    listTree(path).map((line) => line.replace(/(character device 0:0 0 0:0) \d+/, "$1")),
  );
}

const at = (name: string): string => join(directory, name);

/** Exports to a tar, and tells its path. */
async function exported(...images: readonly StoredImage[]): Promise<string> {
  await exportToTar(store, images, createWriteStream(at("image.tar")));
  return at("image.tar");
}

describe("an exported image", () => {
  it("is the same image where it is imported, by directory and by tar", async () => {
    await exportToDirectory(store, [image], at("layout"));
    const tar = await exported(image);
    for (const path of [at("layout"), tar]) {
      const there = await ImageStore.open(`${path}.store`);
      const [imported] = await importImages(there, path, { platform });
      expect(imported).toMatchObject({ reference: "example.org/tool:1", digest: image.digest });
      expect(filesOf(imported)).toEqual(filesOf(image));
    }
  });

  it("is what skopeo and umoci take it for", async () => {
    await exportToDirectory(store, [image], at("layout"));
    const { stdout } = await run("skopeo", ["inspect", "--raw", `oci:${at("layout")}:example.org/tool:1`]);
    expect(digestOf(stdout)).toBe(image.digest);
    // umoci reads no zstd.
    await using addition = await store.beginAddition();
    const plain = await addImageOf(addition, "plain:1", [layerOf(tarArchive({ name: "x", content: "y" }), "gzip")]);
    await exportToDirectory(store, [plain], at("plain"));
    const index = JSON.parse(await readFile(at("plain/index.json"), "utf8"));
    index.manifests[0].annotations["org.opencontainers.image.ref.name"] = "1";
    await writeFile(at("plain/index.json"), JSON.stringify(index));
    await run("umoci", ["unpack", "--image", `${at("plain")}:1`, at("bundle")]);
    expect(await readFile(at("bundle/rootfs/x"), "utf8")).toBe("y");
  });

  it("may be made of layers that were built here, which have no blobs", async () => {
    const staged = join(store.directory, "staging/built");
    await mkdir(staged);
    await writeFile(join(staged, "made"), "here");
    const layer = await store.layers.commit(staged);
    const config = {
      ...image.config,
      rootfs: { type: "layers" as const, diff_ids: [...image.config.rootfs.diff_ids, layer.digest] },
    };
    const built = await store.commit("built", config, [...image.layers, layer], {});
    const [imported] = await importImages(elsewhere, await exported(built), { platform });
    expect(imported).toMatchObject({ reference: "built", digest: built.digest });
    expect(listTree(imported?.layers[2]?.path ?? "").some((line) => line.startsWith("/made "))).toBe(true);
  });

  it("shares its layers with others in one archive", async () => {
    await using addition = await store.beginAddition();
    const other = await addImageOf(addition, "other", [
      layerOf(tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/motd", content: "hello" }), "gzip"),
    ]);
    const names = (await importImages(elsewhere, await exported(image, other), { platform })).map(
      ({ reference }) => reference,
    );
    expect(names).toEqual(["example.org/tool:1", "other"]);
    const { stdout } = await run("tar", ["--list", "--file", at("image.tar")]);
    const members = stdout.trim().split("\n");
    expect(new Set(members).size).toBe(members.length);
  });

  it("is refused a directory that is not empty, and leaves none that is not whole", async () => {
    await mkdir(at("full"));
    await writeFile(at("full/file"), "");
    await expect(exportToDirectory(store, [image], at("full"))).rejects.toThrow(/is not empty/);
    await writeFile(store.blobs.pathOf(image.manifest.layers[0]?.digest ?? image.digest), "damaged");
    await expect(exportToDirectory(store, [image], at("layout"))).rejects.toThrow(/ended after 7 of|larger than/);
    expect(await readdir(at("layout"))).toEqual([]);
    await expect(exported(image)).rejects.toThrow(/ended after 7 of|larger than/);
  });
});

describe("an archive of docker save", () => {
  it("is imported under the names that it has, layers and configuration as they are", async () => {
    // Docker's own formats know no zstd.
    await using addition = await store.beginAddition();
    const tars = [tarArchive({ name: "a", content: "1" }), tarArchive({ name: ".wh.a" }, { name: "b" })];
    const gzipped = await addImageOf(
      addition,
      "example.org/tool:1",
      tars.map((tar) => layerOf(tar)),
    );
    await exportToDirectory(store, [gzipped], at("layout"));
    const source = `oci:${at("layout")}:example.org/tool:1`;
    await run("skopeo", ["copy", "--quiet", source, `docker-archive:${at("saved.tar")}:tool:2`]);
    const [imported] = await importImages(elsewhere, at("saved.tar"), { platform });
    expect(imported?.reference).toBe("docker.io/library/tool:2");
    expect(imported?.config.rootfs).toEqual(gzipped.config.rootfs);
    expect(filesOf(imported)).toEqual(filesOf(gzipped));
  });

  it.each([
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ])("may be compressed by %s", async (_, compress) => {
    const config = Buffer.from(JSON.stringify(image.config));
    const layers = await Promise.all(image.layers.map(async ({ digest }) => ({ digest, tar: await plainTar(digest) })));
    const archive = tarArchive(
      { name: "config.json", content: config },
      { name: "0/layer.tar", content: layers[0]?.tar ?? "" },
      { name: "1/layer.tar", content: layers[1]?.tar ?? "" },
      { name: "2/layer.tar", type: "2", linkName: "../1/layer.tar" },
      {
        name: "manifest.json",
        content: JSON.stringify([{ Config: "config.json", RepoTags: null, Layers: ["0/layer.tar", "2/layer.tar"] }]),
      },
    );
    await writeFile(at("saved"), compress(archive));
    const [imported] = await importImages(elsewhere, at("saved"), { platform, name: "mine" });
    expect(imported?.layers.map(({ digest }) => digest)).toEqual(image.layers.map(({ digest }) => digest));
    expect(await readdir(join(elsewhere.directory, "staging"))).toEqual([]);
  });

  it("may have no environment, which docker import writes as null", async () => {
    const layer = tarArchive({ name: "x", content: "y" });
    const rootfs = { type: "layers", diff_ids: [digestOf(layer)] };
    const config = JSON.stringify({ ...platform, config: { Env: null, Cmd: null }, rootfs });
    const manifest = JSON.stringify([{ Config: "config", RepoTags: ["made:1"], Layers: ["layer.tar"] }]);
    const archive = tarArchive(
      { name: "config", content: config },
      { name: "layer.tar", content: layer },
      { name: "manifest.json", content: manifest },
    );
    await writeFile(at("made.tar"), archive);
    const [imported] = await importImages(store, at("made.tar"), { platform });
    expect(imported).toMatchObject({ reference: "docker.io/library/made:1", config: { config: { Env: null } } });
  });

  /** A layer's tar, from its blob. */
  async function plainTar(diffId: string): Promise<Buffer> {
    const position = image.config.rootfs.diff_ids.findIndex((digest) => digest === diffId);
    return position === 0
      ? tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/motd", content: "hello" })
      : tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/.wh.motd" }, { name: "etc/new" });
  }
});

describe("a root file system's tar", () => {
  it("becomes an image of one layer, the same one each time", async () => {
    const tar = tarArchive(
      { name: "./", type: "5", mode: 0o755 },
      { name: "./bin/", type: "5" },
      { name: "./bin/sh", mode: 0o755 },
    );
    await writeFile(at("root.tar.gz"), gzipSync(tar));
    const [first] = await importImages(store, at("root.tar.gz"), { platform, name: "root" });
    const [second] = await importImages(elsewhere, at("root.tar.gz"), { platform, name: "root" });
    expect(first?.digest).toBe(second?.digest);
    expect(first?.config.rootfs.diff_ids).toEqual([digestOf(tar)]);
    expect(await readdir(join(first?.layers[0]?.path ?? "", "bin"))).toEqual(["sh"]);
    expect(first?.manifest.layers[0]?.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+gzip");
  });

  it("needs a name", async () => {
    await writeFile(at("root.tar"), tarArchive({ name: "x" }));
    await expect(importImages(store, at("root.tar"), { platform })).rejects.toThrow(/^\/.*root\.tar does not say/);
    const options = { platform, displayName: "stdin" };
    await expect(importImages(store, at("root.tar"), options)).rejects.toThrow(
      "stdin does not say what its image is called: say it with --name",
    );
    await writeFile(at("none.tar"), "no tar, but longer than a block of one ".repeat(20));
    await expect(importImages(store, at("none.tar"), options)).rejects.toThrow(/^stdin cannot be read as a tar: /);
  });
});

describe("an archive that is not right", () => {
  it.each<[name: string, files: Readonly<Record<string, string>>, reason: RegExp]>([
    ["an index that is no JSON", { "oci-layout": LAYOUT, "index.json": "<" }, /JSON/],
    [
      "an index of nothing",
      { "oci-layout": LAYOUT, "index.json": `{"schemaVersion":2,"manifests":[]}` },
      /no image for linux\/amd64/,
    ],
    [
      "a manifest that is missing",
      { "oci-layout": LAYOUT, "index.json": indexOf({ digest: digestOf("x") }) },
      /has no blobs\/sha256\/\w{64}: it is not complete/,
    ],
    [
      "a manifest that is damaged",
      {
        "oci-layout": LAYOUT,
        "index.json": indexOf({ digest: digestOf("x") }),
        [`blobs/sha256/${hexOf(digestOf("x"))}`]: "y",
      },
      /is damaged: it has another digest/,
    ],
    [
      "an image for another machine",
      { "oci-layout": LAYOUT, "index.json": indexOf({ platform: { os: "linux", architecture: "riscv64" } }) },
      /no image for linux\/amd64, only for linux\/riscv64/,
    ],
    [
      "an image that only its configuration says to be for another machine",
      { "oci-layout": LAYOUT, ...imageFor({ os: "linux", architecture: "arm64", variant: "v8" }) },
      /^the image is for linux\/arm64, not for linux\/amd64: see LONGSHORE_PLATFORM$/,
    ],
    [
      "the same, of docker save",
      {
        ...imageFor({ os: "windows", architecture: "amd64" }),
        "manifest.json": `[{"Config":"config","Layers":[]}]`,
        "index.json": "",
      },
      /^the image is for windows\/amd64, not for linux\/amd64: see LONGSHORE_PLATFORM$/,
    ],
    [
      "a layout of another version",
      { ...imageFor(platform), "oci-layout": `{"imageLayoutVersion":"2.0.0"}` },
      /^the archive is a layout of version "2\.0\.0": only 1\.0\.0 is known$/,
    ],
    ["a layout of no version", { ...imageFor(platform), "oci-layout": "{}" }, /imageLayoutVersion/],
    [
      "an unknown kind of thing",
      { "oci-layout": LAYOUT, "index.json": indexOf({ mediaType: "text/plain" }) },
      /unknown media type "text\/plain"/,
    ],
    [
      "a configuration outside of it",
      { "manifest.json": `[{"Config":"../../../etc/passwd","Layers":[]}]` },
      /has no \.\.\/\.\.\/\.\.\/etc\/passwd/,
    ],
    ["a configuration that is none", { "manifest.json": `[{"Config":"c","Layers":[]}]`, c: "{}" }, /architecture/],
  ])("with %s is refused", async (_, files, reason) => {
    const archive = tarArchive(...Object.entries(files).map(([name, content]) => ({ name, content })));
    await writeFile(at("bad.tar"), archive);
    await expect(importImages(store, at("bad.tar"), { platform, name: "bad" })).rejects.toThrow(reason);
    expect((await store.list()).map(({ reference }) => reference)).toEqual(["example.org/tool:1"]);
  });

  it("that is cut off is refused", async () => {
    const whole = await readFile(await exported(image));
    await writeFile(at("half.tar"), whole.subarray(0, 3000));
    await expect(importImages(elsewhere, at("half.tar"), { platform, name: "half" })).rejects.toThrow(
      /Unexpected end of data|truncated/,
    );
    await writeFile(at("half.tar.gz"), gzipSync(whole).subarray(0, 600));
    await expect(importImages(elsewhere, at("half.tar.gz"), { platform, name: "half" })).rejects.toThrow(
      /unexpected end of file/,
    );
    expect(await readdir(join(elsewhere.directory, "staging"))).toEqual([]);
  });

  it("of several images cannot be given one name", async () => {
    await using addition = await store.beginAddition();
    const other = await addImageOf(addition, "other", [layerOf(tarArchive({ name: "x" }))]);
    await expect(importImages(elsewhere, await exported(image, other), { platform, name: "one" })).rejects.toThrow(
      /has 2 images/,
    );
  });
});

/** An archive's files with an image of no layers, of which no index says what it is for. */
function imageFor(platform: object): Record<string, string> {
  const config = JSON.stringify({ ...platform, config: { Env: null }, rootfs: { type: "layers", diff_ids: [] } });
  const described = {
    mediaType: "application/vnd.oci.image.config.v1+json",
    digest: digestOf(config),
    size: config.length,
  };
  const manifest = JSON.stringify({ schemaVersion: 2, config: described, layers: [] });
  const blobs = [config, manifest].map((content) => [`blobs/sha256/${hexOf(digestOf(content))}`, content]);
  return { ...Object.fromEntries(blobs), "index.json": indexOf({ digest: digestOf(manifest) }), config: config };
}

function indexOf(entry: object): string {
  const whole = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf("x"), size: 1, ...entry };
  return JSON.stringify({ schemaVersion: 2, manifests: [whole] });
}
