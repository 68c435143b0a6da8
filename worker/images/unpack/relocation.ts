/**
 * Unpacks an archive below a directory of the layer that it becomes, for a user whose all of it is.
 *
 *   archive  ./  a  b/c          layer  srv/  srv/work/  srv/work/a  srv/work/b/c
 *                                       └ as the image has it
 *
 * Overlayfs shows a merged directory as the topmost layer that has it. So the directories above the place have to look
 * as those of the layers below do, or the container's /home would become root's because something lies in it.
 */
import type { Timestamp } from "../../linux/files.ts";
import { parseEntryPath, parseLinkTarget } from "./entry-path.ts";
import type { TarEntry } from "./tar-reader.ts";

/** Who owns a directory, and what others may do with it. */
export interface DirectoryAttributes {
  readonly uid: number;
  readonly gid: number;
  /** With the set-id and sticky bits. */
  readonly mode: number;
}

export interface Relocation {
  /** Where the archive's root goes: below the layer's, without a slash at its ends and without `..`. */
  readonly path: string;
  /** Of the directories above the place, from the layer's root down. */
  readonly parents: readonly DirectoryAttributes[];
  /** Owns everything at the place, whoever the archive says: ids of whoever packed it mean nothing here. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** Of a place whose archive says nothing of its root. */
const PLACE_MODE = 0o755;

const EPOCH: Timestamp = { seconds: 0, nanoseconds: 0 };

/** The directories down to the place, itself included. */
export function directoriesOf({ path, parents, owner }: Relocation): TarEntry[] {
  const components = path.split("/");
  const device = { major: 0, minor: 0 };
  return components.map((_, depth): TarEntry => {
    const { uid, gid, mode } = parents[depth] ?? { uid: owner.uid, gid: owner.gid, mode: PLACE_MODE };
    const name = bytesOf(components.slice(0, depth + 1).join("/"));
    return { type: "directory", name, linkName: "", mode, uid, gid, size: 0, mtime: EPOCH, device, xattrs: new Map() };
  });
}

/**
 * An entry of the archive as one of the layer.
 * @throws {LayerRefusal} for what leads out of the archive, before its place could make something else of it
 */
export function relocate(entry: TarEntry, { path, owner }: Relocation): TarEntry {
  parseEntryPath(entry.name);
  const moved = { ...entry, ...owner, name: `${bytesOf(path)}/${entry.name}` };
  if (entry.type !== "hard link") return moved;
  parseLinkTarget(entry.linkName);
  return { ...moved, linkName: `${bytesOf(path)}/${entry.linkName}` };
}

/** Names of entries are raw bytes (latin1). */
function bytesOf(text: string): string {
  return Buffer.from(text).toString("latin1");
}
