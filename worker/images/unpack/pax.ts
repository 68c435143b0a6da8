/** Records of a pax extended header: `LENGTH KEY=VALUE\n`, LENGTH in decimal and counting the whole record. */
import type { Timestamp } from "../../linux/files.ts";
import { LayerRefusal } from "./refusal.ts";

const [SPACE, EQUALS, NEWLINE] = [0x20, 0x3d, 0x0a];

/** Longest LENGTH in digits that the limit on headers leaves room for. */
const DIGITS_MAX = 7;

/**
 * Splits an extended header into its records; of records with one key the last counts.
 * @returns values as bytes: those of extended attributes are binary
 * @throws {LayerRefusal}
 */
export function parsePaxRecords(content: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let offset = 0; offset < content.length;) {
    const space = content.indexOf(SPACE, offset);
    const digits = space === -1 || space - offset > DIGITS_MAX ? "" : content.toString("latin1", offset, space);
    const end = offset + Number(digits);
    const equals = content.indexOf(EQUALS, space);
    const isWhole = /^[1-9]\d*$/.test(digits) && end <= content.length && content[end - 1] === NEWLINE;
    if (!isWhole || equals <= space + 1 || equals >= end) throw new LayerRefusal("its extended header is malformed");
    records.set(content.toString("latin1", space + 1, equals), content.subarray(equals + 1, end - 1));
    offset = end;
  }
  return records;
}

/** A whole number in decimal. @throws {LayerRefusal} */
export function paxNumber(value: Buffer, what: string): number {
  const text = value.toString("latin1");
  const number = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(number)) throw new LayerRefusal(`its ${what} is not a number`);
  return number;
}

/** Seconds since 1970 with any number of decimals; those beyond nanoseconds are cut off. @throws {LayerRefusal} */
export function paxTime(value: Buffer): Timestamp {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(value.toString("latin1"));
  const whole = Number(match?.[2]);
  if (match === null || !Number.isSafeInteger(whole)) throw new LayerRefusal("its mtime is not a number");
  const fraction = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] === "") return { seconds: whole, nanoseconds: fraction };
  return fraction === 0
    ? { seconds: -whole, nanoseconds: 0 }
    : { seconds: -whole - 1, nanoseconds: 1_000_000_000 - fraction };
}
