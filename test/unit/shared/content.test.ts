import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeContent, encodeContent, encodeOutput } from "../../../shared/content.ts";

const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

test("text is text", () => {
  expect(encodeContent(Buffer.from("grüße\n\0"))).toEqual({ content: "grüße\n\0", encoding: "utf8" });
});

test("a byte order mark is kept", () => {
  expect(decodeContent(encodeContent(bytesOf(0xef, 0xbb, 0xbf, 0x61)))).toEqual(Buffer.from([0xef, 0xbb, 0xbf, 0x61]));
});

test("what is no UTF-8 is base64", () => {
  expect(encodeContent(bytesOf(0xff, 0x00))).toEqual({ content: "/wA=", encoding: "base64" });
});

test("a view of a larger buffer is read where it lies", () => {
  expect(encodeContent(new Uint8Array(Buffer.from("abcd")).subarray(1, 3)).content).toBe("bc");
});

test("long text of which JSON would make more than twice as much is base64, and shorter text is not", () => {
  const long = 64 * 1024;
  expect(encodeContent(Buffer.alloc(long, "\u0001")).encoding).toBe("base64");
  expect(encodeContent(Buffer.alloc(long - 1, "\u0001")).encoding).toBe("utf8");
  // Lines, quotes, colors: what programs print.
  for (const text of ["\n", '"', "\\", "\u001b[31mred\u001b[0m\n", "grüße\0 "]) {
    expect(encodeContent(Buffer.from(text.repeat(long))).encoding).toBe("utf8");
  }
});

test("all bytes survive the way through JSON", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        const encoded = JSON.parse(JSON.stringify(encodeContent(bytes))) as ReturnType<typeof encodeContent>;
        expect(decodeContent(encoded)).toEqual(Buffer.from(bytes));
      },
    ),
  );
});

describe("output", () => {
  test("whole output that is no UTF-8 keeps every byte", () => {
    expect(encodeOutput({ content: bytesOf(0x61, 0xc3), truncated: false })).toEqual({
      content: "YcM=",
      encoding: "base64",
      bytes: 2,
      truncated: false,
    });
  });

  test.each([
    ["ä", 1],
    ["€", 1],
    ["€", 2],
    ["😀", 1],
    ["😀", 2],
    ["😀", 3],
  ])("text that was cut inside of %s after %i bytes stays text", (character, kept) => {
    const content = Buffer.concat([Buffer.from("ab"), Buffer.from(character).subarray(0, kept)]);
    expect(encodeOutput({ content, truncated: true })).toEqual({
      content: "ab",
      encoding: "utf8",
      bytes: 2,
      truncated: true,
    });
  });

  test("what was no text before the cut is kept whole", () => {
    const content = bytesOf(0xff, 0x61, 0xc3);
    expect(encodeOutput({ content, truncated: true })).toMatchObject({ encoding: "base64", bytes: 3 });
  });

  test("bytes is always the length of the decoded content, which begins the output", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.boolean(), (content, truncated) => {
        const output = encodeOutput({ content, truncated });
        const decoded = decodeContent(output);
        expect(output.bytes).toBe(decoded.length);
        expect(Buffer.from(content).subarray(0, decoded.length)).toEqual(decoded);
        expect(content.length - decoded.length).toBeLessThanOrEqual(truncated ? 3 : 0);
      }),
    );
  });
});
