import { randomUUID } from "node:crypto";
import { open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Makes renames and new names in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, "r");
  await handle.sync();
}

/**
 * Writes a file so that readers, and whoever comes after a crash, see the whole new content or none of it:
 * a temporary name, with a leading dot, in the same directory, fsync, rename, fsync of the directory.
 */
export async function writeFileDurably(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${randomUUID()}`);
  try {
    {
      await using handle = await open(temporary, "wx", 0o644);
      await handle.writeFile(content);
      await handle.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Removes what {@link writeFileDurably} left when its process was killed. To be called while nobody writes there. */
export async function removeTemporaries(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(".")) await rm(join(directory, name), { recursive: true, force: true });
  }
}
