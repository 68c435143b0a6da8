import { execFile } from "node:child_process";
import { mkdir, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const FILLER = "filler";
/** The smallest thing that a file system gives away, usually: what is left is taken in pieces of this size. */
const BLOCK_BYTES = 4096;

/** A small ext4 of the test's own, which can be full. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;
  readonly #image: string;

  private constructor(path: string, image: string) {
    this.path = path;
    this.#image = image;
  }

  /** Makes the file system and mounts it at `path`. */
  static async mount(path: string, bytes: number): Promise<SmallDisk> {
    const image = `${path}.ext4`;
    await using file = await open(image, "w", 0o600);
    await file.truncate(bytes);
    await run("mkfs.ext4", ["-q", "-m", "0", image], { env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
    await mkdir(path, { mode: 0o700 });
    await run("mount", ["-o", "loop", image, path]);
    return new SmallDisk(path, image);
  }

  /** Leaves no room for anybody. */
  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.path);
    const filler = join(this.path, FILLER);
    // Others may take some of it meanwhile.
    await run("fallocate", ["-l", String(Math.max(BLOCK_BYTES, bavail * bsize)), filler]).catch(() => undefined);
    await using file = await open(filler, "a");
    const block = Buffer.alloc(BLOCK_BYTES);
    try {
      for (;;) await file.write(block);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    }
  }

  /** Gives the room back. */
  async free(): Promise<void> {
    await rm(join(this.path, FILLER), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", [this.path]);
    await rm(this.#image);
  }
}
