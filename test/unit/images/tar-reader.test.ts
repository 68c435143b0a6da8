import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { pack } from "tar-stream";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { LayerRefusal } from "../../../worker/images/unpack/refusal.ts";
import { type TarEntry, TarReader } from "../../../worker/images/unpack/tar-reader.ts";
import { paxRecords, tarArchive, tarEntry } from "../../support/tar.ts";

type Read = TarEntry & { readonly content: Buffer };

/** Reads an archive in pieces of the given sizes, over and over. */
function read(archive: Buffer, pieces: readonly number[] = [archive.length]): Read[] {
  const entries: Read[] = [];
  let current: TarEntry | undefined;
  let content: Buffer[] = [];
  const reader = new TarReader({
    beginEntry: (entry) => ((current = entry), (content = [])),
    data: (chunk) => content.push(Buffer.from(chunk)),
    endEntry: () => current && entries.push({ ...current, content: Buffer.concat(content) }),
  });
  for (let offset = 0, turn = 0; offset < archive.length; turn++) {
    const size = Math.max(1, pieces[turn % pieces.length] ?? 1);
    // A copy that is wiped: nothing may be kept of a piece.
    const piece = Buffer.from(archive.subarray(offset, offset + size));
    reader.write(piece);
    piece.fill(0xff);
    offset += size;
  }
  reader.end();
  return entries;
}

const only = (archive: Buffer): Read => {
  const [entry, ...others] = read(archive);
  if (entry === undefined || others.length > 0) throw new Error("not one entry");
  return entry;
};

describe("the tar reader", () => {
  it("reads each type of entry with what belongs to it", () => {
    const entries = read(
      tarArchive(
        { name: "etc/", type: "5", mode: 0o1777, uid: 1, gid: 2, mtime: 3 },
        { name: "etc/motd", content: "hello", mode: 0o4755 },
        { name: "link", type: "2", linkName: "etc/motd" },
        { name: "hard", type: "1", linkName: "etc/motd" },
        { name: "null", type: "3", device: [1, 3] },
        { name: "disk", type: "4", device: [8, 1] },
        { name: "pipe", type: "6" },
        { name: "old directory/", type: "\0" },
        { name: "contiguous", type: "7", content: "x" },
      ),
    );
    expect(entries.map(({ type, name }) => [type, name])).toEqual([
      ["directory", "etc/"],
      ["file", "etc/motd"],
      ["symlink", "link"],
      ["hard link", "hard"],
      ["character device", "null"],
      ["block device", "disk"],
      ["fifo", "pipe"],
      ["directory", "old directory/"],
      ["file", "contiguous"],
    ]);
    expect(entries[0]).toMatchObject({ mode: 0o1777, uid: 1, gid: 2, mtime: { seconds: 3, nanoseconds: 0 } });
    expect(entries[1]).toMatchObject({ mode: 0o4755, size: 5, content: Buffer.from("hello") });
    expect(entries[2]?.linkName).toBe("etc/motd");
    expect(entries[4]?.device).toEqual({ major: 1, minor: 3 });
  });

  it("takes names from the ustar prefix, from pax and from GNU's long names", () => {
    const long = "n".repeat(200);
    expect(only(tarArchive({ name: "b", prefix: "a" })).name).toBe("a/b");
    expect(only(tarArchive({ name: "cut", pax: { path: long, linkpath: "to" }, type: "2" }))).toMatchObject({
      name: long,
      linkName: "to",
    });
    const gnu = Buffer.concat([
      tarEntry({ name: "././@LongLink", type: "L", content: `${long}\0` }),
      tarEntry({ name: "././@LongLink", type: "K", content: "target\0" }),
      tarArchive({ name: "cut", type: "2" }),
    ]);
    expect(only(gnu)).toMatchObject({ name: long, linkName: "target" });
  });

  it("keeps bytes that are no UTF-8, in names and attributes", () => {
    const value = Buffer.from([1, 0, 0, 2, 0x80, 0xff, 0]);
    const entry = only(tarArchive({ name: "caf\xe9", pax: { "SCHILY.xattr.security.capability": value } }));
    expect(entry.name).toBe("caf\xe9");
    expect(entry.xattrs).toEqual(new Map([["security.capability", value]]));
    expect(only(tarArchive({ pax: { path: Buffer.from("caf\xe9", "latin1") } })).name).toBe("caf\xe9");
  });

  it("prefers pax to the header, and takes an empty record for none", () => {
    const pax = { size: "3", uid: "70000", gid: "5", mtime: "-1.25", path: "" };
    expect(only(tarArchive({ name: "x", size: 0, content: "abc", pax }))).toMatchObject({
      name: "x",
      size: 3,
      uid: 70_000,
      gid: 5,
      mtime: { seconds: -2, nanoseconds: 750_000_000 },
      content: Buffer.from("abc"),
    });
  });

  it("forgets extended headers after their entry, and passes over global ones", () => {
    const archive = Buffer.concat([
      tarEntry({ type: "g", content: paxRecords({ comment: "of git", path: "everything" }) }),
      tarArchive({ name: "one", pax: { path: "first", "SCHILY.xattr.user.a": "b" } }, { name: "two" }),
    ]);
    expect(read(archive).map(({ name, xattrs }) => [name, xattrs.size])).toEqual([
      ["first", 1],
      ["two", 0],
    ]);
  });

  it("takes an archive that ends without blocks of zeros, and passes over what comes after them", () => {
    expect(read(tarEntry({ name: "x" }))).toHaveLength(1);
    expect(read(tarEntry({ name: "x", content: "no padding" }).subarray(0, 522))).toHaveLength(1);
    // As `umoci insert` leaves it.
    expect(only(tarEntry({ content: "x" }).subarray(0, 513)).content.toString()).toBe("x");
    expect(read(Buffer.concat([tarArchive({ name: "x" }), Buffer.alloc(10_240, 1)]))).toHaveLength(1);
  });

  it.each<[name: string, archive: Buffer, reason: RegExp]>([
    ["a wrong checksum", tarArchive({ checksum: 1 }), /checksum is wrong/],
    ["something else than a tar", Buffer.alloc(2048, "<html>"), /checksum/],
    ["a header that is cut off", tarEntry({}).subarray(0, 300), /truncated/],
    ["content that is cut off", tarEntry({ content: "x".repeat(600) }).subarray(0, 900), /truncated/],
    ["an extended header without an entry", tarArchive({ type: "x", content: paxRecords({ a: "b" }) }), /no entry/],
    ["an extended header at the end", tarEntry({ type: "x", content: paxRecords({ a: "b" }) }), /truncated/],
    ["a lone block of zeros", Buffer.concat([Buffer.alloc(512), tarArchive({})]), /lone zero block/],
    ["a negative size in base 256", tarArchive({ size: Buffer.alloc(12, 0xff) }), /size is negative/],
    [
      "a huge size in base 256",
      tarArchive({ size: Buffer.from("807fffffffffffffffffffff", "hex") }),
      /size is too large/,
    ],
    ["a size that is no number", tarArchive({ size: Buffer.from("hello world\0") }), /size is not a number/],
    ["a negative size in pax", tarArchive({ pax: { size: "-1" } }), /size is negative/],
    ["a fraction of a size", tarArchive({ pax: { size: "1e3" } }), /size is not a number/],
    ["an mtime that is no number", tarArchive({ pax: { mtime: "soon" } }), /mtime is not a number/],
    ["a directory with content", tarArchive({ type: "5", name: "d", content: "x" }), /directory with content/],
    ["a hard link with content", tarArchive({ type: "1", linkName: "a", content: "x" }), /hard link with content/],
    ["a sparse file of old GNU tar", tarArchive({ type: "S" }), /sparse/],
    ["a sparse file in pax", tarArchive({ pax: { "GNU.sparse.major": "1" } }), /sparse/],
    ["an unknown type", tarArchive({ type: "Z" }), /type "Z" is unknown/],
    [
      "a pax record without a length",
      tarArchive({ type: "x", content: "path=a\n" }, {}),
      /extended header is malformed/,
    ],
    ["a pax record longer than its header", tarArchive({ type: "x", content: "999 a=b\n" }, {}), /malformed/],
    ["a pax record of length 0", tarArchive({ type: "x", content: "0 a=b\n" }, {}), /malformed/],
    ["a pax record without a key", tarArchive({ type: "x", content: "5 =b\n" }, {}), /malformed/],
    [
      "a pax bomb",
      tarArchive({ type: "x", content: Buffer.alloc(1024 * 1024) }, {}),
      /extended headers are larger than/,
    ],
    [
      "a pax bomb that is only announced",
      tarEntry({ type: "x", size: 8 ** 11 - 1 }),
      /extended headers are larger than/,
    ],
    [
      "a chain of pax headers",
      Buffer.concat(Array(3000).fill(tarEntry({ type: "x", content: paxRecords({ a: "b" }) }))),
      /larger than/,
    ],
  ])("refuses %s", (_, archive, reason) => {
    expect(() => read(archive)).toThrow(LayerRefusal);
    expect(() => read(archive)).toThrow(reason);
  });

  it("reads what tar-stream writes, in pieces of whatever size", async () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 150 }).filter((it) => !/[\0\n]/.test(it));
    // A name that ends in a slash is a directory's, whatever the entry's type (POSIX, ustar).
    const file = fc.record({ name: text.map((it) => `f${it}f`), content: fc.uint8Array({ maxLength: 3000 }) });
    const property = fc.asyncProperty(
      fc.array(file, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 }),
      async (files, pieces) => {
        const archive = pack();
        for (const { name, content } of files) archive.entry({ name, type: "file" }, Buffer.from(content));
        archive.finalize();
        const entries = read(await buffer(Readable.from(archive)), pieces);
        expect(entries.map((entry) => Buffer.from(entry.name, "latin1").toString())).toEqual(
          files.map(({ name }) => name),
        );
        expect(entries.map(({ content }) => digest(content))).toEqual(files.map(({ content }) => digest(content)));
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });

  it("answers damage with a refusal, never with another error", () => {
    const archive = tarArchive(
      { name: "etc/", type: "5" },
      { name: "x", pax: { path: "etc/long", mtime: "1.5", "SCHILY.xattr.user.a": "b" }, content: "hello" },
      { name: "l", type: "2", linkName: "x" },
    );
    const damage = fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 });
    const property = fc.property(damage, fc.nat(archive.length), fc.boolean(), (changes, length, fixChecksums) => {
      const damaged = Buffer.from(archive.subarray(0, length));
      for (const [offset, value] of changes) if (offset < length) damaged[offset] = value;
      if (fixChecksums) for (let at = 0; at + 512 <= length; at += 512) fixChecksum(damaged.subarray(at, at + 512));
      try {
        read(damaged, [700]);
      } catch (error) {
        expect(error).toBeInstanceOf(LayerRefusal);
      }
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

/** Lets damage get past the checksum. */
function fixChecksum(block: Buffer): void {
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

function digest(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
