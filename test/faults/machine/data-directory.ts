import { cp, mkdir, readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../../../shared/config.ts";

/**
 * A worker's data directory with images of its own: their names, leases and locks are files here, which a full disk and
 * a deletion reach. What they consist of is this machine's, by symlinks, since it would not fit.
 */
export class WorkerData {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes it, or again what is missing of it. */
  async make(): Promise<void> {
    const shared = join(loadConfig(process.env).dataDirectory, "images");
    const images = join(this.path, "images");
    for (const part of ["layers/sha256", "blobs/sha256"]) {
      await mkdir(join(images, part), { recursive: true });
      for (const name of await readdir(join(shared, part))) {
        await symlink(join(shared, part, name), join(images, part, name)).catch((error: unknown) => {
          if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
        });
      }
    }
    // Who sees a name finds what it names.
    await cp(join(shared, "references"), join(images, "references"), { recursive: true });
  }

  /** Deletes it with all that is in it, whoever uses it. */
  async delete(): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}
