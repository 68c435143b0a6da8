/** Tar archives byte by byte: also those that no well-behaved writer makes. */

/** Fields of a header; strings are raw bytes (latin1). */
export interface TarFields {
  readonly name?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** What the header says; the content's own length unless stated. */
  readonly size?: number | Buffer;
  readonly mtime?: number;
  readonly type?: string;
  readonly linkName?: string;
  readonly device?: readonly [number, number];
  readonly prefix?: string;
  readonly checksum?: number;
  readonly content?: string | Buffer;
  /** Records of an extended header that goes before. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
}

/** One entry: extended header, header, content, padding. */
export function tarEntry(fields: TarFields): Buffer {
  const content = Buffer.from(fields.content ?? "");
  const pax = fields.pax === undefined ? [] : [tarEntry({ name: "pax", type: "x", content: paxRecords(fields.pax) })];
  return Buffer.concat([...pax, header(fields, content.length), content, Buffer.alloc(-content.length & 511)]);
}

/** A whole archive with the two blocks of zeros that end it. */
export function tarArchive(...entries: readonly TarFields[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]);
}

export function paxRecords(records: Readonly<Record<string, string | Buffer>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), Buffer.from(value), Buffer.from("\n")]);
      let length = rest.length;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

function header(fields: TarFields, contentBytes: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, offset, "latin1");
  };
  block.write((fields.name ?? "file").slice(0, 100), 0, "latin1");
  octal(fields.mode ?? 0o644, 100, 8);
  octal(fields.uid ?? 0, 108, 8);
  octal(fields.gid ?? 0, 116, 8);
  const size = fields.size ?? contentBytes;
  if (typeof size === "number") octal(size, 124, 12);
  else size.copy(block, 124, 0, 12);
  octal(fields.mtime ?? 1_000_000_000, 136, 12);
  block.write(fields.type ?? "0", 156, "latin1");
  block.write((fields.linkName ?? "").slice(0, 100), 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  octal(fields.device?.[0] ?? 0, 329, 8);
  octal(fields.device?.[1] ?? 0, 337, 8);
  block.write(fields.prefix ?? "", 345, "latin1");
  block.fill(" ", 148, 156);
  octal(fields.checksum ?? block.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return block;
}
