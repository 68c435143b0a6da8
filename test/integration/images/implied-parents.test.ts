/** Directories that a layer has no entry of: in an image, they look as the layers below have them. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeLayersOf, describeOwnLayer } from "../../../worker/images/described-layers.ts";
import { collectGarbage, untagImage } from "../../../worker/images/garbage.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { listTree } from "../../support/file-tree.ts";
import { addImageOf, layerOf } from "../../support/layer-sources.ts";
import { listMerged } from "../../support/merged-tree.ts";
import { tarArchive, type TarFields } from "../../support/tar.ts";
import { Builder, outputOf } from "../dockerfile/builder.ts";
import { importImageOfUmoci, makeImageByUmoci, unpackByUmoci } from "../../support/umoci.ts";

let directory: string;
let store: ImageStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-parents-"));
  store = await ImageStore.open(join(directory, "images"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

const folder = (name: string, mode: number, fields: TarFields = {}): TarFields => ({
  name,
  type: "5",
  mode,
  ...fields,
});

const BASE: readonly TarFields[] = [
  folder("./", 0o755, { mtime: 1000 }),
  folder("tmp/", 0o1777, { pax: { mtime: "2000.25" } }),
  folder("usr/", 0o755, { mtime: 3000 }),
  folder("usr/local/", 0o2775, { gid: 50, mtime: 4000, pax: { "SCHILY.xattr.user.note": "local" } }),
  folder("home/", 0o711, { mtime: 5000 }),
  folder("home/somebody/", 0o700, { uid: 1000, gid: 1000, mtime: 6000 }),
  folder("srv/", 0o700, { uid: 7, mtime: 7000 }),
  folder("opt/", 0o750, { mtime: 8000 }),
  folder("var/", 0o755, { mtime: 9000 }),
];

const LINK_TO_USR_LIB: TarFields = { name: "lib", type: "2", linkName: "usr/lib" };

async function add(name: string, ...layers: readonly (readonly TarFields[])[]): Promise<StoredImage> {
  await using addition = await store.beginAddition();
  return addImageOf(
    addition,
    name,
    layers.map((entries) => layerOf(tarArchive(...entries))),
  );
}

async function foldersOf(lowerDirs: readonly string[]): Promise<string[]> {
  const mountPoint = await mkdtemp(join(directory, "merged-"));
  return (await listMerged(lowerDirs, mountPoint)).filter((line) => line.includes(" directory "));
}

describe("an image whose layers imply directories", () => {
  it("is what umoci unpacks, file by file", async () => {
    const layers: readonly (readonly TarFields[])[] = [
      BASE,
      [{ name: "tmp/x" }, { name: "usr/local/bin/tool", mode: 0o755 }, { name: "home/somebody/.config/app/settings" }],
      // What is deleted, or made anew, does not look as it did.
      [{ name: ".wh.srv" }, folder("opt/", 0o700, { mtime: 10 }), { name: "var/lib/state" }],
      [{ name: "srv/data/x" }, { name: "opt/x" }, { name: "usr/local/share/x" }, { name: "var/.wh.lib" }],
    ];
    const tars = layers.map((_, index) => join(directory, `${index}.tar`));
    for (const [index, path] of tars.entries()) await writeFile(path, tarArchive(...(layers[index] ?? [])));
    await makeImageByUmoci(join(directory, "oci"), tars);
    const image = await importImageOfUmoci(store, join(directory, "oci"));
    const unpacked = await unpackByUmoci(join(directory, "oci"), join(directory, "bundle"));
    const mountPoint = join(directory, "merged");
    await mkdir(mountPoint);
    // The time of a directory is now where umoci makes one in it; here it stays, as in containerd.
    const withoutTime = /^(\/(?:|home\/somebody.*|srv.*|usr\/local.*|var) directory \d+ \d+:\d+) \d+/;
    const comparable = (lines: string[]): string[] => lines.map((line) => line.replace(withoutTime, "$1"));
    expect(comparable(await listMerged(image.lowerDirs, mountPoint))).toEqual(comparable(listTree(unpacked)));
  });

  it("shows them with mode, owner, time and attributes of the topmost layer that describes them", async () => {
    const { lowerDirs } = await add(
      "tool",
      BASE,
      [folder("tmp/", 0o1770, { mtime: 11 })],
      [{ name: "tmp/x" }, { name: "usr/local/bin/tool" }],
      [{ name: "tmp/y" }, { name: "home/somebody/x" }],
    );
    expect(await foldersOf(lowerDirs)).toEqual([
      "/ directory 755 0:0 1000000000000",
      "/home directory 711 0:0 5000000000000",
      "/home/somebody directory 700 1000:1000 6000000000000",
      "/opt directory 750 0:0 8000000000000",
      "/srv directory 700 7:0 7000000000000",
      "/tmp directory 1770 0:0 11000000000",
      "/usr directory 755 0:0 3000000000000",
      "/usr/local directory 2775 0:50 4000000000000 user.note=6c6f63616c",
      "/usr/local/bin directory 2755 0:50 0",
      "/var directory 755 0:0 9000000000000",
    ]);
  });

  it("shares its layers with images that have them on something else", async () => {
    const upper = [{ name: "tmp/x" }];
    const open = await add("open", BASE, upper);
    const closed = await add("closed", [folder("tmp/", 0o700)], upper);
    expect(open.layers[1]).toEqual(closed.layers[1]);
    const modeOfTmp = async ({ lowerDirs }: StoredImage): Promise<string | undefined> =>
      (await foldersOf(lowerDirs)).find((line) => line.startsWith("/tmp "))?.split(" ")[2];
    expect([await modeOfTmp(open), await modeOfTmp(closed)]).toEqual(["1777", "700"]);
  });

  it("takes nothing from what a layer between has deleted, replaced or made opaque", async () => {
    const { lowerDirs } = await add(
      "tool",
      BASE,
      [
        { name: ".wh.tmp" },
        { name: "opt", type: "2", linkName: "srv" },
        folder("home/", 0o755),
        { name: "home/.wh..wh..opq" },
      ],
      [{ name: "tmp/x" }, { name: "opt/x" }, { name: "home/somebody/x" }],
    );
    const found = await foldersOf(lowerDirs);
    expect(found.filter((line) => /^\/(?:tmp|opt|home\/somebody) /.test(line))).toEqual([
      "/home/somebody directory 755 0:0 0",
      "/opt directory 755 0:0 0",
      "/tmp directory 755 0:0 0",
    ]);
  });

  it("hides a link below one that a layer only implies, as Docker and containerd have it on overlayfs", async () => {
    const { lowerDirs } = await add(
      "tool",
      [folder("usr/", 0o755), folder("usr/lib/", 0o755), { name: "usr/lib/a" }, LINK_TO_USR_LIB],
      [{ name: "lib/b" }],
    );
    const mountPoint = await mkdtemp(join(directory, "merged-"));
    const files = (await listMerged(lowerDirs, mountPoint)).map((line) => line.split(" ")[0]);
    expect(files).toEqual(["/", "/lib", "/lib/b", "/usr", "/usr/lib", "/usr/lib/a"]);
  });

  it("is one of its layers only where none of them implies anything", async () => {
    const one = await add("one", [{ name: "tmp/x" }]);
    const described = await add("described", BASE, [folder("tmp/", 0o1777), { name: "tmp/x" }]);
    const later = await add("later", BASE, [{ name: "tmp/x" }, folder("tmp/", 0o1777)]);
    for (const { layers, lowerDirs } of [one, described, later])
      expect(lowerDirs).toEqual(layers.map(({ path }) => path));
  });

  it("has them as long as it is here, in every process, and again when it comes back", async () => {
    const { lowerDirs } = await add("tool", BASE, [{ name: "tmp/x" }]);
    const kept = join(directory, "images/parents");
    expect(await readdir(kept)).toHaveLength(1);
    await collectGarbage(store);
    const elsewhere = await ImageStore.open(join(directory, "images"));
    expect((await elsewhere.resolve("tool"))?.lowerDirs).toEqual(lowerDirs);
    await rm(lowerDirs.at(-1) ?? "", { recursive: true });
    expect((await elsewhere.resolve("tool"))?.lowerDirs).toEqual(lowerDirs);
    expect(await readdir(kept)).toHaveLength(1);
    await untagImage(store, "tool");
    await collectGarbage(store);
    expect(await readdir(kept)).toEqual([]);
  });

  it("is what a build goes on from: its steps see them, and what they copy up keeps their attributes", async () => {
    await using builder = await Builder.open();
    const { image: base } = await builder.buildText(
      "FROM bash\nUSER root\nRUN chmod 2775 /usr/local && chown :50 /usr/local",
    );
    await using addition = await builder.store.beginAddition();
    const layer = await addition.addLayer(layerOf(tarArchive({ name: "usr/local/bin/tool" }), "none"));
    const described = [...describeLayersOf(base), describeOwnLayer(layer)];
    const rootfs = { type: "layers" as const, diff_ids: described.map(({ layer: { digest } }) => digest) };
    const implied = await builder.store.commitDescribed(["implied"], { ...base.config, rootfs }, described, {});
    const { image, events } = await builder.buildText(
      "FROM implied\nRUN stat -c %a:%g /usr/local && touch /usr/local/ran\nCOPY copied /usr/local/",
      { copied: "" },
      // Its lowest layers are in the machine's store.
      { findImage: async () => implied },
    );
    expect(outputOf(events)).toEqual(["2775:50"]);
    for (const { path } of image.layers.slice(-2))
      expect(listTree(path).find((line) => line.startsWith("/usr/local "))).toMatch(
        /^\/usr\/local directory 2775 0:50 /,
      );
  });
});
