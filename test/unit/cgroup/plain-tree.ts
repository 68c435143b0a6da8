import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { CgroupFiles } from "../../../worker/cgroup/files.ts";

/**
 * A cgroup file system of plain files in a temporary directory. As the kernel does, it gives every new cgroup its
 * files and lets a directory be removed along with them. What is written is noted and stays in the file.
 */
export class PlainTree extends CgroupFiles implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "longshore-cgroup-"));
  readonly #newFiles: Readonly<Record<string, string>>;
  #log: string[] = [];

  /** @param newFiles names and contents of the files of a new cgroup */
  constructor(newFiles: Readonly<Record<string, string>>) {
    super();
    this.#newFiles = newFiles;
  }

  override makeDirectory(path: string): void {
    super.makeDirectory(path);
    this.#note(`mkdir ${this.#relative(path)}`);
    for (const [name, text] of Object.entries(this.#newFiles)) writeFileSync(join(path, name), text);
  }

  override removeDirectory(path: string): void {
    for (const name of existsSync(path) ? readdirSync(path) : []) {
      if (statSync(join(path, name)).isFile()) rmSync(join(path, name));
    }
    super.removeDirectory(path);
    this.#note(`rmdir ${this.#relative(path)}`);
  }

  override write(path: string, text: string): void {
    super.write(path, text);
    this.#note(`${this.#relative(path)} = ${text}`);
  }

  /** Puts text into a file, as if the kernel had counted something. */
  count(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }

  /** `mkdir PATH`, `rmdir PATH` and `PATH = TEXT` since the last call, in order, with paths relative to the root. */
  takeLog(): string[] {
    const log = this.#log;
    this.#log = [];
    return log;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  #note(line: string): void {
    this.#log.push(line);
  }

  #relative(path: string): string {
    return relative(this.root, path);
  }
}
