/**
 * Bytes in JSON: UTF-8 text where the bytes are that, base64 where they are not, never mangled.
 */
import { isUtf8 } from "node:buffer";
import * as z from "zod";

/** Bytes as they stand in a request. */
export interface EncodedContent {
  readonly content: string;
  readonly encoding: "utf8" | "base64";
}

/** What was written to stdout or stderr, as it stands in a result. */
export interface EncodedOutput extends EncodedContent {
  /** Bytes kept, which is the length of the decoded `content`. */
  readonly bytes: number;
  /** More was written than is kept. */
  readonly truncated: boolean;
}

/**
 * A string that UTF-8 can carry. JSON's `\ud800` makes half a surrogate pair, which an encoder would
 * silently replace; such a string is refused, since what arrives in the container would not be what was sent.
 */
export const textSchema = z.string().refine((text) => text.isWellFormed(), { error: "has a lone surrogate" });

/** `content` must fit its `encoding`; used where the two stand in one object. */
export function checkContent(value: EncodedContent, context: z.core.$RefinementCtx): void {
  const message =
    value.encoding === "base64"
      ? isCanonicalBase64(value.content)
        ? undefined
        : "is not canonical base64 (RFC 4648, section 4, with padding)"
      : value.content.isWellFormed()
        ? undefined
        : "has a lone surrogate";
  if (message !== undefined) context.addIssue({ code: "custom", path: ["content"], message, input: value.content });
}

/** The bytes that were meant; a plain string is UTF-8. */
export function decodeContent(value: string | EncodedContent): Buffer {
  if (typeof value === "string") return Buffer.from(value, "utf8");
  return Buffer.from(value.content, value.encoding);
}

/** How many bytes were meant, without making them. */
export function contentLength(value: string | EncodedContent): number {
  return typeof value === "string"
    ? Buffer.byteLength(value, "utf8")
    : Buffer.byteLength(value.content, value.encoding);
}

/** From how many bytes on it matters how long text becomes in JSON. */
const LONG_BYTES = 64 * 1024;

/**
 * Puts bytes into JSON: as text when they are valid UTF-8, else as base64. Also where long text would become more than
 * twice as long, which only that of control characters does: JSON writes six for each of them.
 */
export function encodeContent(bytes: Uint8Array): EncodedContent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) {
    const content = buffer.toString("utf8");
    if (buffer.byteLength < LONG_BYTES || JSON.stringify(content).length <= 2 * buffer.byteLength + 2) {
      return { content, encoding: "utf8" };
    }
  }
  return { content: buffer.toString("base64"), encoding: "base64" };
}

/**
 * Puts the kept bytes of stdout or stderr into a result.
 *
 * A cut at the limit may fall inside of a character. The kept part of it (up to three bytes) is dropped then:
 * what is given is an exact beginning of the output either way, and text stays readable as text.
 */
export function encodeOutput(output: { readonly content: Uint8Array; readonly truncated: boolean }): EncodedOutput {
  const kept = output.truncated ? withoutPartialCharacter(output.content) : output.content;
  return { ...encodeContent(kept), bytes: kept.byteLength, truncated: output.truncated };
}

/** Drops the beginning of a character from the end, if what is before it is valid UTF-8. */
export function withoutPartialCharacter(bytes: Uint8Array): Uint8Array {
  // 10xxxxxx continues a character; the last byte that does not do so begins the last one
  const begin = bytes.findLastIndex((byte) => (byte & 0b1100_0000) !== 0b1000_0000);
  const first = bytes[begin];
  const isPartial = first !== undefined && bytes.byteLength - begin < characterLength(first);
  const complete = bytes.subarray(0, begin);
  return isPartial && isUtf8(complete) ? complete : bytes;
}

/** How many bytes the character takes that begins with this one (RFC 3629, section 3). */
function characterLength(firstByte: number): number {
  if (firstByte < 0b1100_0000) return 1;
  if (firstByte < 0b1110_0000) return 2;
  return firstByte < 0b1111_0000 ? 3 : firstByte < 0b1111_1000 ? 4 : 1;
}

/** Node's decoder skips what it does not know; only a string that comes back the same was base64. */
function isCanonicalBase64(text: string): boolean {
  return text.length % 4 === 0 && Buffer.from(text, "base64").toString("base64") === text;
}
