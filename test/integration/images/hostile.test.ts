/** The corpus of hostile layers: each one's error, and that a store is as it was before. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageRefusedError, type LayerSource } from "../../../worker/images/addition.ts";
import { digestOf } from "../../../worker/images/digest.ts";
import { collectGarbage } from "../../../worker/images/garbage.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { listTree } from "../../support/file-tree.ts";
import { addImageOf, documentsOf, layerOf, layerOfBlob } from "../../support/layer-sources.ts";
import { tarArchive, type TarFields } from "../../support/tar.ts";

const LIMITS = { layerBytesMax: 4 * 1024 * 1024, layerEntriesMax: 1000 };

let directory: string;
let outside: string;
let store: ImageStore;

/** All that is in the store: names, what is in them, owners, modes. Directories that entries come and go in change their times. */
function snapshot(): string[] {
  return listTree(store.directory).map((line) => line.replace(/( directory \d+ \d+:\d+) \d+/, "$1"));
}

const withoutLocks = (lines: readonly string[]): string[] => lines.filter((line) => !line.startsWith("/locks/"));

/** What an attack left goes with the next collection of garbage; the store is then what it was. */
async function expectUnharmed(before: readonly string[]): Promise<void> {
  await collectGarbage(store);
  expect(snapshot()).toEqual(before);
  expect(await readdir(directory)).toEqual(["images", "outside"]);
  expect(await readFile(outside, "utf8")).toBe("untouched");
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-hostile-"));
  outside = join(directory, "outside");
  await writeFile(outside, "untouched");
  store = await ImageStore.open(join(directory, "images"), { limits: LIMITS });
  await using addition = await store.beginAddition();
  await addImageOf(addition, "innocent", [
    layerOf(tarArchive({ name: "etc/", type: "5" }, { name: "etc/motd", content: "hi" })),
  ]);
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** Adds a layer that has to be refused, and compares the store with what it was before. */
async function refusalOf(source: LayerSource): Promise<string> {
  await collectGarbage(store);
  const before = snapshot();
  let refusal: string;
  {
    await using addition = await store.beginAddition();
    refusal = await addition.addLayer(source).then(
      () => "accepted",
      (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
    );
    // Nothing but its lock is left, not even for the collection of garbage.
    expect(withoutLocks(snapshot())).toEqual(withoutLocks(before));
  }
  await expectUnharmed(before);
  return refusal;
}

const escape: TarFields = { name: "up", type: "2", linkName: "../../.." };
const deep = (length: number): string => "d/".repeat(length);

const ARCHIVES: readonly [name: string, entries: readonly TarFields[], reason: string][] = [
  ["a path that leads up", [{ name: "../outside" }], 'entry "../outside": its path leads up with ..'],
  ["a path that leads up in the middle", [{ name: "a/../../outside" }], "its path leads up with .."],
  ["a path that leads up in pax", [{ name: "a", pax: { path: "../outside" } }], "its path leads up with .."],
  ["an absolute path", [{ name: "/etc/cron.d/x" }], "its path is absolute"],
  ["a path without a name", [{ name: "", type: "0" }], "it has no name"],
  ["a NUL in a pax path", [{ pax: { path: "a\0b" } }], "its path contains a NUL"],
  ["a file through a symlink that leads up", [escape, { name: "up/outside" }], "a directory in its path is a symlink"],
  [
    "a file through an absolute symlink",
    [{ name: "tmp", type: "2", linkName: "/tmp" }, { name: "tmp/x" }],
    "a directory in its path is a symlink",
  ],
  [
    "a file through a symlink within the layer",
    [{ name: "a/b" }, { name: "c", type: "2", linkName: "a" }, { name: "c/x" }],
    "a directory in its path is a symlink",
  ],
  ["a directory over a symlink", [escape, { name: "up/", type: "5" }], "it is in the layer twice"],
  ["a directory below a symlink", [escape, { name: "up/x/", type: "5" }], "a directory in its path is a symlink"],
  [
    "a file over a symlink",
    [
      { name: "x", type: "2", linkName: "/etc/passwd" },
      { name: "x", content: "root" },
    ],
    "it is in the layer twice",
  ],
  ["a whiteout through a symlink", [escape, { name: "up/.wh.outside" }], "a directory in its path is a symlink"],
  ["an opaque whiteout of a symlink", [escape, { name: "up/.wh..wh..opq" }], "a directory in its path is a symlink"],
  ["a file below a file", [{ name: "a" }, { name: "a/b" }], "a directory in its path is a file"],
  [
    "a hard link that leads up",
    [{ name: "x", type: "1", linkName: "../../outside" }],
    "its target cannot be: its path leads up with ..",
  ],
  [
    "a hard link to an absolute path",
    [{ name: "x", type: "1", linkName: "/etc/shadow" }],
    "its target cannot be: its path is absolute",
  ],
  [
    "a hard link through a symlink",
    [escape, { name: "x", type: "1", linkName: "up/outside" }],
    "it is a hard link to a path through a symlink",
  ],
  [
    "a hard link to what is not there",
    [{ name: "x", type: "1", linkName: "y" }],
    "it is a hard link to a file that the layer does not have",
  ],
  [
    "a hard link to itself",
    [{ name: "x", type: "1", linkName: "x" }],
    "it is a hard link to a file that the layer does not have",
  ],
  [
    "a hard link to a directory",
    [
      { name: "d/", type: "5" },
      { name: "x", type: "1", linkName: "d" },
    ],
    "it is a hard link to something that is no file",
  ],
  [
    "a hard link to a whiteout",
    [{ name: ".wh.d" }, { name: "x", type: "1", linkName: "d" }],
    "it is a hard link to something that is no file",
  ],
  [
    "a hard link to a path through a file",
    [{ name: "d" }, { name: "x", type: "1", linkName: "d/e" }],
    "it is a hard link to a file that the layer does not have",
  ],
  [
    "a file twice",
    [
      { name: "x", content: "1" },
      { name: "./x", content: "2" },
    ],
    "it is in the layer twice",
  ],
  ["a directory and then a file", [{ name: "x/", type: "5" }, { name: "x" }], "it is in the layer twice"],
  [
    "a device twice",
    [
      { name: "x", type: "3", device: [1, 3] },
      { name: "x", type: "3", device: [1, 5] },
    ],
    "it is in the layer twice",
  ],
  [
    "a directory over a device",
    [
      { name: "x", type: "3", device: [1, 3] },
      { name: "x/", type: "5" },
    ],
    "it is in the layer twice",
  ],
  ["a whiteout twice", [{ name: ".wh.x" }, { name: ".wh.x" }], "it is in the layer twice"],
  [
    "a device that is overlayfs's whiteout",
    [{ name: "passwd", type: "3", device: [0, 0] }],
    "overlayfs's own form of a whiteout",
  ],
  [
    "a device number beyond 20 bits",
    [{ name: "x", type: "3", device: [1, 0x100000] }],
    "its device number 1:1048576 is none",
  ],
  [
    "a root directory that is a file",
    [
      { name: "./", type: "7" },
      { name: ".", type: "2", linkName: "/" },
    ],
    "it makes the root directory a symlink",
  ],
  ["a symlink to nothing", [{ name: "x", type: "2", linkName: "" }], "symlink whose target cannot be"],
  [
    "a symlink to a path that is too long",
    [{ name: "x", type: "2", pax: { linkpath: "y".repeat(5000) } }],
    "symlink whose target cannot be",
  ],
  ["a name of 256 bytes", [{ pax: { path: "n".repeat(256) } }], "a name in its path is longer than 255 bytes"],
  ["a path of 4,096 bytes", [{ pax: { path: `${"n".repeat(63)}/`.repeat(64) } }], "its path is longer than 4095 bytes"],
  ["a path of 300 directories", [{ pax: { path: deep(300) } }], "its path is deeper than 256 directories"],
  [
    "an owner that no container has",
    [{ name: "x", pax: { uid: "65536" } }],
    "its owner 65536:0 is outside of 0 to 65535",
  ],
  ["a negative group", [{ name: "x", pax: { gid: "-1" } }], "its owner 0:-1 is outside of 0 to 65535"],
  ["a whiteout of nothing", [{ name: ".wh." }], "it is a whiteout of nothing"],
  ["a whiteout of the directory itself", [{ name: "a/.wh.." }], "it is a whiteout of nothing"],
  ["a whiteout of the directory above", [{ name: "a/.wh..." }], "it is a whiteout of nothing"],
  ["a whiteout that is a directory", [{ name: ".wh.x/", type: "5" }], "it is a whiteout that is a directory"],
  [
    "a whiteout that is a hard link",
    [{ name: "a" }, { name: ".wh.x", type: "1", linkName: "a" }],
    "it is a whiteout that is a hard link",
  ],
  ["a file in a whiteout", [{ name: ".wh.x/y" }], "it is inside of a whiteout"],
  ["an opaque whiteout of a file", [{ name: "a" }, { name: "a/.wh..wh..opq" }], "a directory in its path is a file"],
  ["an opaque whiteout of the root", [{ name: ".wh..wh..opq" }], "it hides all layers below"],
  ["aufs's books", [{ name: ".wh..wh.plnk/", type: "5" }], "it is a whiteout of a whiteout"],
  [
    "capabilities that the kernel does not take",
    [{ name: "x", pax: { "SCHILY.xattr.security.capability": "all" } }],
    'its attribute "security.capability" cannot be set: EINVAL',
  ],
  [
    "an attribute larger than the file system holds",
    [{ name: "x", pax: { "SCHILY.xattr.user.x": "v".repeat(200_000) } }],
    "cannot be set: E2BIG",
  ],
  [
    "more entries than allowed",
    Array.from({ length: 1001 }, (_, index) => ({ name: `${index}` })),
    "it has more than 1000 entries",
  ],
  [
    "a file larger than allowed",
    [{ name: "x", content: Buffer.alloc(5 * 1024 * 1024) }],
    "it is larger than 4194304 bytes unpacked",
  ],
  ["a file that says that it is huge", [{ name: "x", size: 8 ** 11 - 1 }], "the archive is truncated"],
];

describe("a hostile layer", () => {
  it.each(ARCHIVES)("%s: is refused", async (_, entries, reason) => {
    const refusal = await refusalOf(layerOf(tarArchive({ name: "good", content: "x" }, ...entries)));
    expect(refusal).toMatch(/^ImageRefusedError: layer sha256:[0-9a-f]{64} is refused: /);
    expect(refusal).toContain(reason);
  });

  it.each(["gzip", "zstd", "none"] as const)(
    "that is a bomb of zeros after its end (%s) is refused",
    async (compression) => {
      const tar = Buffer.concat([tarArchive({ name: "x" }), Buffer.alloc(64 * 1024 * 1024)]);
      expect(await refusalOf(layerOf(tar, compression))).toContain("it is larger than 4194304 bytes unpacked");
    },
  );
});

describe("a layer that is not what its image says", () => {
  const tar = tarArchive({ name: "x", content: "content" });
  const gzip = gzipSync(tar);
  const zstd = zstdCompressSync(tar);
  const other = digestOf("another");

  it.each<[name: string, source: LayerSource, reason: RegExp]>([
    [
      "another digest",
      layerOf(tar, "gzip", { digest: other }),
      /blob sha256:\w+ has the digest sha256:\w+: it was damaged or exchanged/,
    ],
    ["a smaller size", layerOf(tar, "gzip", { size: 10 }), /is larger than the 10 bytes that were announced/],
    ["a larger size", layerOf(tar, "gzip", { size: 1e6 }), /ended after \d+ of the 1000000 bytes announced/],
    [
      "another diff id",
      layerOf(tar, "gzip", { diffId: other }),
      /its tar has the digest sha256:\w+, its image says sha256:/,
    ],
    [
      "gzip that is cut off",
      layerOfBlob(gzip.subarray(0, -20), tar, "gzip"),
      /its gzip stream is damaged: unexpected end of file/,
    ],
    [
      "gzip with a changed byte",
      layerOfBlob(change(gzip), tar, "gzip"),
      /its gzip stream is damaged|its tar has the digest|truncated|checksum/,
    ],
    ["zstd that is cut off", layerOfBlob(zstd.subarray(0, -8), tar, "zstd"), /refused/],
    ["zstd with a changed byte", layerOfBlob(change(zstd), tar, "zstd"), /refused/],
    ["gzip said to be zstd", layerOfBlob(gzip, tar, "zstd"), /its zstd stream is damaged/],
    ["a tar said to be gzip", layerOfBlob(tar, tar, "gzip"), /its gzip stream is damaged: incorrect header check/],
    ["gzip said to be a tar", layerOfBlob(gzip, gzip, "none"), /truncated|checksum/],
    ["no bytes at all", layerOfBlob(Buffer.alloc(0), tar, "gzip"), /refused/],
    ["a tar that is cut off", layerOf(tar.subarray(0, 515)), /the archive is truncated/],
    [
      "an unknown media type",
      layerOf(tar, "gzip", { mediaType: "application/vnd.oci.image.layer.v1.tar+lz4" }),
      /"application\/vnd.oci.image.layer.v1.tar\+lz4" is no media type of a layer/,
    ],
    [
      "a media type of all objects",
      layerOf(tar, "gzip", { mediaType: "constructor" }),
      /"constructor" is no media type of a layer/,
    ],
  ])("%s: is refused", async (_, source, reason) => {
    expect(await refusalOf(source)).toMatch(reason);
  });

  it("whose stream breaks off leaves nothing either", async () => {
    const broken: LayerSource = {
      ...layerOf(tar),
      open: () =>
        Readable.from(
          (async function* () {
            yield gzip.subarray(0, 10);
            throw new Error("connection reset");
          })(),
        ),
    };
    expect(await refusalOf(broken)).toBe("Error: connection reset");
  });
});

describe("a hostile image", () => {
  const layer = layerOf(tarArchive({ name: "x" }));

  async function imageRefusal(manifest: Buffer, config: Buffer): Promise<string> {
    await collectGarbage(store);
    const before = snapshot();
    let error: unknown;
    {
      await using addition = await store.beginAddition();
      await addition.addLayer(layer);
      error = await addition.addImage("hostile", manifest, config).catch((reason: unknown) => reason);
    }
    expect(error).toBeInstanceOf(ImageRefusedError);
    expect(await store.resolve("hostile")).toBeUndefined();
    await expectUnharmed(before);
    return error instanceof Error ? error.message : "";
  }

  it("with 128 layers is refused", async () => {
    const { manifest, config } = documentsOf(Array(128).fill(layer));
    expect(await imageRefusal(manifest, config)).toBe("the image has 128 layers: 127 can be mounted");
  });

  it("whose configuration is another one is refused", async () => {
    const { manifest } = documentsOf([layer]);
    const { config } = documentsOf([layer, layer]);
    expect(await imageRefusal(manifest, config)).toMatch(/not the one that the manifest names/);
  });

  it("whose documents disagree about the number of layers is refused", async () => {
    const { manifest, config } = documentsOf([layer]);
    const more = { ...JSON.parse(manifest.toString()), layers: [layer.descriptor, layer.descriptor] };
    expect(await imageRefusal(Buffer.from(JSON.stringify(more)), config)).toMatch(/has 2 layers, the configuration 1/);
  });

  it.each([
    ["no JSON", "<html>", /the manifest is refused: .*JSON/],
    ["an index", JSON.stringify({ schemaVersion: 2, manifests: [] }), /the manifest is refused: config: /],
    [
      "a digest that is a path",
      JSON.stringify({ schemaVersion: 2, layers: [], config: { mediaType: "x", size: 1, digest: "sha256:../../etc" } }),
      /config.digest: not a sha256 digest/,
    ],
    ["the first version of Docker's manifest", JSON.stringify({ schemaVersion: 1 }), /schemaVersion/],
  ])("whose manifest is %s is refused", async (_, manifest, reason) => {
    expect(await imageRefusal(Buffer.from(manifest), documentsOf([layer]).config)).toMatch(reason);
  });
});

/** Another byte in the middle. */
function change(blob: Buffer): Buffer {
  const changed = Buffer.from(blob);
  const middle = Math.floor(blob.length / 2);
  changed[middle] = (changed[middle] ?? 0) ^ 0x55;
  return changed;
}
