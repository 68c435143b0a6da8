import { chmod, mkdir, mkdtempDisposable, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { extract } from "tar-stream";
import { describe, expect, it } from "vitest";
import { everything } from "../../../services/cli/directory-tree.ts";
import { packDirectory } from "../../../services/cli/pack-directory.ts";

async function makeTree(directory: string): Promise<void> {
  await mkdir(join(directory, "src/empty"), { recursive: true });
  await writeFile(join(directory, "src/größe.txt"), "content");
  await writeFile(join(directory, "run"), "#!/bin/sh\n");
  await chmod(join(directory, "run"), 0o700);
  await writeFile(join(directory, "nothing"), "");
  await symlink("src/größe.txt", join(directory, "link"));
}

describe("a directory", () => {
  it("is packed with what a job needs of it", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-pack-"));
    await makeTree(directory.path);
    const entries: unknown[] = [];
    for await (const entry of packDirectory(directory.path, everything).pipe(extract())) {
      const { name, type, mode, uid, linkname } = entry.header;
      entries.push([name, type, mode?.toString(8), uid, linkname, await text(entry)]);
    }
    expect(entries).toEqual([
      ["link", "symlink", "777", 0, "src/größe.txt", ""],
      ["nothing", "file", "644", 0, null, ""],
      ["run", "file", "755", 0, null, "#!/bin/sh\n"],
      ["src/", "directory", "755", 0, null, ""],
      ["src/empty/", "directory", "755", 0, null, ""],
      ["src/größe.txt", "file", "644", 0, null, "content"],
    ]);
  });

  it("is the same bytes wherever and whenever it was made", async () => {
    await using one = await mkdtempDisposable(join(tmpdir(), "longshore-pack-"));
    await using other = await mkdtempDisposable(join(tmpdir(), "longshore-pack-"));
    await makeTree(one.path);
    await makeTree(other.path);
    await utimes(join(other.path, "run"), 1, 1);
    const [left, right] = await Promise.all([one, other].map(({ path }) => buffer(packDirectory(path, everything))));
    expect(left?.equals(right ?? Buffer.alloc(0))).toBe(true);
  });

  it("with a name that layers take for a deletion is refused", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-pack-"));
    await writeFile(join(directory.path, ".wh.file"), "");
    await expect(buffer(packDirectory(directory.path, everything))).rejects.toThrow("layers take .wh. for a deletion");
  });

  it("that is not there is an error", async () => {
    await expect(buffer(packDirectory("/nonexistent", everything))).rejects.toThrow("ENOENT");
  });
});
