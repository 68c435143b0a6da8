import type { DirectoryAttributes } from "../unpack/relocation.ts";
import { isDirectory, resolveIn, TreeError } from "../tree/file-tree.ts";
import { LayeredTree } from "../tree/layered-tree.ts";

/** Where a layer goes in an image. */
export interface Place {
  /** Below the root, without symbolic links and without a slash at its ends. */
  readonly path: string;
  /** Of the directories above it, from the root down. */
  readonly parents: readonly DirectoryAttributes[];
}

/** Of a directory that the image does not have. */
const MADE: DirectoryAttributes = { uid: 0, gid: 0, mode: 0o755 };

/**
 * Finds out what a path means in an image. A symbolic link on the way is followed as a process of the container would
 * follow it: the directory of a layer would otherwise hide the link, and /lib with all that it leads to be gone.
 *
 * @param directories of the layers, lowest first
 * @throws {TreeError} where no directory can be there
 */
export function findPlace(directories: readonly string[], at: string): Place {
  using tree = new LayeredTree(directories);
  const resolution = resolveIn(tree, at);
  if (resolution.entry !== undefined && !isDirectory(resolution)) throw new TreeError(`${at} is a file`);
  if (resolution.path === "") throw new TreeError(`${at} leads to the root`);
  const components = resolution.path.split("/").slice(0, -1);
  const parents = components.map((name, depth): DirectoryAttributes => {
    const status = tree.lookUp(components.slice(0, depth).join("/"), name)?.status;
    return status === undefined ? MADE : { uid: status.uid, gid: status.gid, mode: status.mode & 0o7777 };
  });
  return { path: resolution.path, parents };
}
