/**
 * Fields of a tar header block (POSIX.1-2017 pax, "ustar Interchange Format"; GNU's base-256 numbers).
 *
 *   0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
 *   157 link name 100 | 257 magic 8 | 329 major 8 | 337 minor 8 | 345 prefix 155
 *
 * Text is kept as raw bytes in a string (latin1): the kernel's names are bytes, too.
 */
import { LayerRefusal } from "./refusal.ts";

export const BLOCK_BYTES = 512;

const CHECKSUM_OFFSET = 148;
const CHECKSUM_END = 156;
const SPACE = 0x20;
const [ZERO, SEVEN] = [0x30, 0x37];

/** The bytes before the first NUL. */
export function textField(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString("latin1", offset, end === -1 || end > offset + length ? offset + length : end);
}

/**
 * An octal number, or a base-256 one where its first bit is set.
 * @throws {LayerRefusal} when it is none, or its magnitude is beyond 2^53
 */
export function numberField(block: Buffer, offset: number, length: number, what: string): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) return base256Field(block, offset, length, what);
  let [position, end] = [offset, offset + length];
  while (position < end && (block[position] === SPACE || block[position] === 0)) position++;
  while (end > position && (block[end - 1] === SPACE || block[end - 1] === 0)) end--;
  let value = 0;
  for (; position < end; position++) {
    const digit = block[position] ?? 0;
    // A NUL ends a field; some writers leave what was there before behind it.
    if (digit === 0) break;
    if (digit < ZERO || digit > SEVEN) throw new LayerRefusal(`its ${what} is not a number`);
    value = value * 8 + (digit - ZERO);
  }
  if (!Number.isSafeInteger(value)) throw new LayerRefusal(`its ${what} is too large`);
  return value;
}

/** Two's complement, most significant byte first, without the bit that tells the form. */
function base256Field(block: Buffer, offset: number, length: number, what: string): number {
  const isNegative = ((block[offset] ?? 0) & 0x40) !== 0;
  let value = isNegative ? -1n : 0n;
  value = (value << 6n) | BigInt((block[offset] ?? 0) & 0x3f);
  for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[offset + index] ?? 0);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new LayerRefusal(`its ${what} is too large`);
  return number;
}

/** Whether a block is all zeros, as the two at the end of an archive are. */
export function isZeroBlock(block: Buffer): boolean {
  return block.equals(ZERO_BLOCK);
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** Compares the checksum: the sum of all bytes, its own field counted as spaces. @throws {LayerRefusal} */
export function verifyChecksum(block: Buffer): void {
  let sum = SPACE * (CHECKSUM_END - CHECKSUM_OFFSET);
  for (let index = 0; index < CHECKSUM_OFFSET; index++) sum += block[index] ?? 0;
  for (let index = CHECKSUM_END; index < BLOCK_BYTES; index++) sum += block[index] ?? 0;
  if (sum !== numberField(block, CHECKSUM_OFFSET, CHECKSUM_END - CHECKSUM_OFFSET, "checksum"))
    throw new LayerRefusal("a header's checksum is wrong: it is damaged, or no tar archive");
}
