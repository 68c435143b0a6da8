import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { constants, createZstdDecompress, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitFrames } from "../../../worker/images/unpack/zstd-frames.ts";

const SKIPPABLE = Buffer.from("5f2a4d1804000000deadbeef", "hex");

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let offset = 0, turn = 0; offset < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

const split = (bytes: Buffer, sizes: readonly number[]): Promise<Buffer[]> =>
  Array.fromAsync(splitFrames(Readable.from(cut(bytes, sizes))));

describe("a zstd stream of several frames", () => {
  it("is cut exactly between them, however it arrives", async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat(400_000).map((length) => new Uint8Array(length)),
    );
    const frame = fc
      .tuple(content, fc.constantFrom(0, 1), fc.integer({ min: 1, max: 9 }))
      .map(([plain, checksum, level]) => ({
        plain,
        bytes: zstdCompressSync(plain, {
          params: { [constants.ZSTD_c_checksumFlag]: checksum, [constants.ZSTD_c_compressionLevel]: level },
        }),
      }));
    const skippable = fc.constant({ plain: new Uint8Array(), bytes: SKIPPABLE });
    const frames = fc.array(fc.oneof({ weight: 4, arbitrary: frame }, { weight: 1, arbitrary: skippable }), {
      minLength: 1,
      maxLength: 5,
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(frames, sizes, async (parts, pieceSizes) => {
      const bytes = Buffer.concat(parts.map((part) => part.bytes));
      const pieces = await split(bytes, pieceSizes);
      expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
      let end = 0;
      const frameEnds = parts.map((part) => (end += part.bytes.length));
      let position = 0;
      const pieceEnds = new Set(pieces.map((piece) => (position += piece.length)));
      expect(frameEnds.filter((each) => !pieceEnds.has(each))).toEqual([]);
      const plain = await buffer(Readable.from(pieces).pipe(createZstdDecompress()));
      expect(plain.equals(Buffer.concat(parts.map((part) => part.plain)))).toBe(true);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it("passes on unchanged what is no zstd, for the decompressor to complain about", async () => {
    const bytes = Buffer.from("this is no zstd at all");
    expect(Buffer.concat(await split(bytes, [3]))).toEqual(bytes);
  });
});
