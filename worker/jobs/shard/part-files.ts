/** The files that a shard returns, by the paths with which they can be downloaded; as many as there is room for. */
import { rm } from "node:fs/promises";
import type { OutputFile, OutputSpool } from "../../container/spec.ts";
import type { ReturnedFile } from "../result.ts";

/** Files of one shard, and those of which it is said why they are not there. */
const FILES_MAX = 1000;
const MISSING_MAX = 100;

/** Characters of all paths together: a program chooses them, and the result that lists them is in Redis. */
const PATH_CHARACTERS_MAX = 256 * 1024;

/** Where a file is from: the shard, and which of its commands, both from 1. */
export interface FileOrigin {
  readonly shard: number;
  readonly run: number;
}

export class PartFiles {
  readonly returned: ReturnedFile[] = [];
  readonly missing: { readonly path: string; readonly error: string }[] = [];
  readonly #spool: OutputSpool;
  readonly #paths = new Set<string>();
  #bytes = 0;
  #pathCharacters = 0;

  constructor(spool: OutputSpool) {
    this.#spool = spool;
  }

  /** For what the next command returns. */
  get spool(): OutputSpool {
    return { ...this.#spool, bytesMax: Math.max(0, this.#spool.bytesMax - this.#bytes) };
  }

  /** Takes what a command printed; without room for it, the file is removed. */
  async addLog({ shard, run }: FileOrigin, file: string, bytes: number): Promise<void> {
    const path = run === 1 ? `logs/shard-${shard}.log` : `logs/shard-${shard}.run-${run}.log`;
    if (bytes > this.spool.bytesMax) {
      await rm(file);
      this.#miss(path, `${bytes} bytes are more than are left for files of this shard`);
    } else if (bytes > 0) {
      this.#bytes += bytes;
      this.#add({ path, file });
    }
  }

  /** Takes a file that a container returned. */
  addOutput({ shard, run }: FileOrigin, output: OutputFile): void {
    const directory = run === 1 ? `shard-${shard}` : `shard-${shard}/run-${run}`;
    const path = `${directory}/${output.path.replace(/^\//, "")}`;
    if ("error" in output) this.#miss(path, output.error);
    else if ("content" in output) this.#add({ path, content: output.content });
    else {
      this.#bytes += output.bytes;
      this.#add({ path, file: output.file });
    }
  }

  #add(file: ReturnedFile): void {
    const { path } = file;
    if (this.#paths.has(path)) this.#miss(path, "another file has this path already");
    else if (this.returned.length >= FILES_MAX) this.#miss(path, `more than ${FILES_MAX} files: the rest is left out`);
    else if (this.#pathCharacters + path.length > PATH_CHARACTERS_MAX) {
      this.#miss(path, "the paths of this shard's files are too long together: the rest is left out");
    } else {
      this.#pathCharacters += path.length;
      this.#paths.add(path);
      this.returned.push(file);
    }
  }

  #miss(path: string, error: string): void {
    if (this.missing.length < MISSING_MAX) this.missing.push({ path, error });
  }
}
