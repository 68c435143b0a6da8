import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A tmpfs of the test's own. */
export class MemoryFileSystem implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async mount(path: string): Promise<MemoryFileSystem> {
    await mkdir(path, { mode: 0o700 });
    await run("mount", ["-t", "tmpfs", "-o", "mode=700", "longshore-faults", path]);
    return new MemoryFileSystem(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", [this.path]);
  }
}
