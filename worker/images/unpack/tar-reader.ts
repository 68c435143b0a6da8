/**
 * Reads a tar archive as it streams by: POSIX ustar and pax, GNU's long names, and what came before (v7).
 *
 * Our own reader, where everything else about tars is tar-stream's, because a layer has to come out exactly as it went
 * in: tar-stream decodes pax values as UTF-8, which breaks binary attributes (the capabilities of newuidmap hold a byte
 * 0x80) and names in other encodings, and an entry costs it several turns of the event loop. This one is synchronous,
 * holds one header at a time, and refuses what different readers understand differently: links and directories
 * with content, sparse files, a lone zero block.
 *
 *   header ──▶ [extended header ──▶ header] ──▶ data ──▶ padding ──▶ header ──▶ … ──▶ two zero blocks ──▶ ended
 */
import type { DeviceNumber, Timestamp } from "../../linux/files.ts";
import { EXTENDED_HEADER_BYTES_MAX } from "./limits.ts";
import { parsePaxRecords, paxNumber, paxTime } from "./pax.ts";
import { LayerRefusal, showPath } from "./refusal.ts";
import { BLOCK_BYTES, isZeroBlock, numberField, textField, verifyChecksum } from "./tar-fields.ts";

const TYPES = {
  "\0": "file",
  "0": "file",
  "1": "hard link",
  "2": "symlink",
  "3": "character device",
  "4": "block device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
} as const;

const isType = (flag: string): flag is keyof typeof TYPES => Object.hasOwn(TYPES, flag);

/** One file of an archive. Names are raw bytes (latin1). */
export interface TarEntry {
  readonly type: (typeof TYPES)[keyof typeof TYPES];
  readonly name: string;
  /** Of links. */
  readonly linkName: string;
  /** Permissions with the set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In bytes; 0 for everything but files. */
  readonly size: number;
  readonly mtime: Timestamp;
  readonly device: DeviceNumber;
  /** Extended attributes by name. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** Receives what an archive holds, in its order. What it throws ends the reading. */
export interface TarVisitor {
  /** The entry's data follows, `size` bytes of it; then {@link endEntry}. */
  beginEntry(entry: TarEntry): void;
  data(chunk: Buffer): void;
  endEntry(): void;
}

const XATTR_PREFIX = "SCHILY.xattr.";
const NO_XATTRS: ReadonlyMap<string, Buffer> = new Map();

type State = "header" | "extended header" | "data" | "padding" | "last block" | "ended";

/** Reads one archive, handed over in pieces of any size. */
export class TarReader {
  readonly #visitor: TarVisitor;
  #state: State = "header";
  /** Bytes of the state's header, data or padding that are still to come. */
  #missing = 0;
  #padding = 0;
  /** Start of a header that a piece ended in. */
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #extendedType = "";
  #extendedBytes = 0;
  #pax: Map<string, Buffer> = new Map();
  #longName: string | undefined;
  #longLinkName: string | undefined;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
    this.#expect("header", BLOCK_BYTES);
  }

  /** @throws {LayerRefusal}, or what the visitor throws */
  write(chunk: Buffer): void {
    for (let offset = 0; offset < chunk.length && this.#state !== "ended";) {
      const piece = chunk.subarray(offset, offset + this.#missing);
      offset += piece.length;
      this.#missing -= piece.length;
      switch (this.#state) {
        case "data":
          this.#visitor.data(piece);
          if (this.#missing === 0) this.#endEntry();
          break;
        case "padding":
          if (this.#missing === 0) this.#expect("header", BLOCK_BYTES);
          break;
        default:
          this.#collect(piece);
      }
    }
  }

  /** To be called when there is no more. @throws {LayerRefusal} when the archive does not end here */
  end(): void {
    // Some writers leave the two zero blocks out, and `umoci insert` the last file's padding, too: Go's archive/tar,
    // and so Docker, takes both.
    const isBetweenEntries = this.#state === "padding" || (this.#state === "header" && this.#partialBytes === 0);
    const isAtBoundary = isBetweenEntries && this.#extendedBytes === 0;
    if (this.#state !== "ended" && !isAtBoundary) throw new LayerRefusal("the archive is truncated");
  }

  #expect(state: State, bytes: number): void {
    this.#state = state;
    this.#missing = bytes;
  }

  /** Hands on a header when all of it is there. */
  #collect(piece: Buffer): void {
    const isWhole = this.#missing === 0;
    if (isWhole && this.#partialBytes === 0) return this.#decode(piece);
    // A copy: the caller may use the memory again.
    this.#partial.push(Buffer.from(piece));
    this.#partialBytes += piece.length;
    if (!isWhole) return;
    const whole = Buffer.concat(this.#partial);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#decode(whole);
  }

  #decode(content: Buffer): void {
    switch (this.#state) {
      case "header":
        return this.#decodeHeader(content);
      case "extended header":
        return this.#decodeExtended(content);
      case "last block":
        if (!isZeroBlock(content)) throw new LayerRefusal("the archive has a lone zero block: it is damaged");
        return this.#expect("ended", 0);
      default:
        throw new Error(`the state ${this.#state} has no header`);
    }
  }

  #decodeHeader(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (this.#extendedBytes > 0) throw new LayerRefusal("an extended header has no entry");
      return this.#expect("last block", BLOCK_BYTES);
    }
    verifyChecksum(block);
    const flag = block.toString("latin1", 156, 157);
    if (flag === "x" || flag === "g" || flag === "L" || flag === "K") return this.#beginExtended(block, flag);
    const entry = this.#makeEntry(block, flag);
    this.#pax = new Map();
    this.#longName = this.#longLinkName = undefined;
    this.#extendedBytes = 0;
    this.#visitor.beginEntry(entry);
    this.#padding = paddingOf(entry.size);
    if (entry.size > 0) this.#expect("data", entry.size);
    else this.#endEntry();
  }

  #endEntry(): void {
    this.#visitor.endEntry();
    if (this.#padding > 0) this.#expect("padding", this.#padding);
    else this.#expect("header", BLOCK_BYTES);
  }

  #beginExtended(block: Buffer, flag: string): void {
    const size = numberField(block, 124, 12, "size");
    this.#extendedBytes += BLOCK_BYTES + size;
    if (size < 0 || this.#extendedBytes > EXTENDED_HEADER_BYTES_MAX)
      throw new LayerRefusal(`an entry's extended headers are larger than ${EXTENDED_HEADER_BYTES_MAX} bytes`);
    this.#extendedType = flag;
    this.#padding = paddingOf(size);
    this.#expect("extended header", size + this.#padding);
    // There is no piece of nothing: an empty one is complete already.
    if (this.#missing === 0) this.#decodeExtended(Buffer.alloc(0));
  }

  #decodeExtended(padded: Buffer): void {
    const content = padded.subarray(0, padded.length - this.#padding);
    switch (this.#extendedType) {
      case "x":
        for (const [key, value] of parsePaxRecords(content)) this.#pax.set(key, Buffer.from(value));
        break;
      case "L":
        this.#longName = textField(content, 0, content.length);
        break;
      case "K":
        this.#longLinkName = textField(content, 0, content.length);
        break;
      default:
        // Global headers hold the commit that `git archive` made it from; Docker and containerd ignore them, too.
        parsePaxRecords(content);
        this.#extendedBytes = 0;
    }
    this.#expect("header", BLOCK_BYTES);
  }

  #makeEntry(block: Buffer, flag: string): TarEntry {
    const name = this.#nameOf(block);
    try {
      return this.#describe(block, flag, name);
    } catch (error) {
      if (error instanceof LayerRefusal) throw new LayerRefusal(`entry ${showPath(name)}: ${error.message}`);
      throw error;
    }
  }

  #nameOf(block: Buffer): string {
    const own = textField(block, 0, 100);
    const isPosix = block.toString("latin1", 257, 263) === "ustar\0";
    const prefix = isPosix ? textField(block, 345, 155) : "";
    return this.#record("path")?.toString("latin1") ?? this.#longName ?? (prefix === "" ? own : `${prefix}/${own}`);
  }

  #describe(block: Buffer, flag: string, name: string): TarEntry {
    if (flag === "S" || [...this.#pax.keys()].some((key) => key.startsWith("GNU.sparse.")))
      throw new LayerRefusal("it is a sparse file in GNU's form: write the archive without --sparse");
    if (!isType(flag)) throw new LayerRefusal(`its type ${JSON.stringify(flag)} is unknown`);
    // Before there were types, a slash at the end told a directory.
    const type = TYPES[flag] === "file" && name.endsWith("/") ? "directory" : TYPES[flag];
    const number = (key: string, offset: number, length: number) => {
      const record = this.#record(key);
      return record === undefined ? numberField(block, offset, length, key) : paxNumber(record, key);
    };
    const size = number("size", 124, 12);
    if (size < 0) throw new LayerRefusal("its size is negative");
    if (size > 0 && type !== "file") throw new LayerRefusal(`it is a ${type} with content`);
    const time = this.#record("mtime");
    return {
      type,
      name,
      linkName: this.#record("linkpath")?.toString("latin1") ?? this.#longLinkName ?? textField(block, 157, 100),
      mode: numberField(block, 100, 8, "mode") & 0o7777,
      uid: number("uid", 108, 8),
      gid: number("gid", 116, 8),
      size,
      mtime: time === undefined ? { seconds: numberField(block, 136, 12, "mtime"), nanoseconds: 0 } : paxTime(time),
      device: { major: numberField(block, 329, 8, "device"), minor: numberField(block, 337, 8, "device") },
      xattrs: this.#xattrs(),
    };
  }

  /** A pax record; an empty one means that there is none. */
  #record(key: string): Buffer | undefined {
    const value = this.#pax.get(key);
    return value === undefined || value.length === 0 ? undefined : value;
  }

  #xattrs(): ReadonlyMap<string, Buffer> {
    if (this.#pax.size === 0) return NO_XATTRS;
    const records = [...this.#pax].filter(([key]) => key.startsWith(XATTR_PREFIX));
    return new Map(records.map(([key, value]) => [key.slice(XATTR_PREFIX.length), value]));
  }
}

function paddingOf(size: number): number {
  const beyond = size % BLOCK_BYTES;
  return beyond === 0 ? 0 : BLOCK_BYTES - beyond;
}
