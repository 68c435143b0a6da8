import { createReadStream } from "node:fs";
import { posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";
import type { ArchiveFiles } from "./archive-files.ts";

/** Files that an archive of images may have: two for each layer and a few more; a root file system has many. */
const FILES_MAX = 1_000_000;

type Member =
  | { readonly kind: "file"; readonly offset: number; readonly size: number }
  | { readonly kind: "link"; readonly target: string };

/**
 * An uncompressed tar as an archive: read once for where its files are, and from there as often as they are needed.
 * The order of its files does not matter, and nothing is written anywhere.
 */
export class TarFiles implements ArchiveFiles {
  readonly #path: string;
  readonly #members: ReadonlyMap<string, Member>;

  private constructor(path: string, members: ReadonlyMap<string, Member>) {
    this.#path = path;
    this.#members = members;
  }

  /** @throws when the file is no tar, or damaged */
  static async read(path: string): Promise<TarFiles> {
    const members = new Map<string, Member>();
    const archive = extract();
    archive.on("entry", (header, content, next) => {
      const name = posix.normalize(header.name).replace(/\/$/, "");
      if (header.type === "file") {
        members.set(name, { kind: "file", offset: contentOffset(header), size: header.size ?? 0 });
      } else if (header.type === "symlink" || header.type === "link") {
        // Older versions of `docker save` link layers that images share.
        const from = header.type === "symlink" ? posix.dirname(name) : ".";
        members.set(name, { kind: "link", target: posix.join(from, header.linkname ?? "") });
      }
      const isTooMuch = members.size > FILES_MAX;
      content.on("end", () => next(isTooMuch ? new Error(`it has more than ${FILES_MAX} files`) : undefined));
      content.resume();
    });
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), archive);
    return new TarFiles(path, members);
  }

  async sizeOf(path: string): Promise<number | undefined> {
    return this.#find(path)?.size;
  }

  open(path: string): Readable {
    const file = this.#find(path);
    if (file === undefined) throw new Error(`the archive has no ${path}: it is not complete`);
    if (file.size === 0) return Readable.from([]);
    return createReadStream(this.#path, { start: file.offset, end: file.offset + file.size - 1 });
  }

  /** Of links only one step is followed: those that tools write lead to a file. */
  #find(path: string): Extract<Member, { kind: "file" }> | undefined {
    const member = this.#members.get(path);
    const file = member?.kind === "link" ? this.#members.get(member.target) : member;
    return file?.kind === "file" ? file : undefined;
  }
}

/** Where a file's content begins in the archive: tar-stream says so, its types do not. */
function contentOffset(header: Header & { readonly byteOffset?: number }): number {
  if (header.byteOffset === undefined) throw new Error("tar-stream does not tell where the content of files begins");
  return header.byteOffset;
}
