import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Lists directories as overlayfs stacks them (`listTree`), in a mount namespace that ends with that.
 * @param lowerDirs lowest first
 * @param mountPoint an empty directory
 */
export async function listMerged(lowerDirs: readonly string[], mountPoint: string): Promise<string[]> {
  const source = `
    import { listTree } from ${JSON.stringify(join(import.meta.dirname, "file-tree.ts"))};
    console.log(JSON.stringify(listTree(${JSON.stringify(mountPoint)})));
  `;
  const mount = `mount -t overlay overlay -o lowerdir=${lowerDirs.toReversed().join(":")} ${mountPoint}`;
  const script = `${mount} && exec "$0" --input-type=module-typescript --eval "$1"`;
  const { stdout } = await run("unshare", ["--mount", "sh", "-euc", script, process.execPath, source], {
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(stdout) as string[];
}
