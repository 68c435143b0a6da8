/**
 * What the name of a tar entry means within a layer (OCI image specification, "Layer Filesystem Changeset").
 *
 *   usr/bin/env          a file of the layer
 *   usr/bin/.wh.env      a whiteout: the layers below have no usr/bin/env any more
 *   usr/.wh..wh..opq     an opaque whiteout: the layers below have nothing in usr any more
 *
 * Names are raw bytes (latin1). Nothing here knows a file system: what is refused, no call ever sees.
 */
import { DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX } from "./limits.ts";
import { LayerRefusal } from "./refusal.ts";

const WHITEOUT_PREFIX = ".wh.";
const OPAQUE_WHITEOUT = ".wh..wh..opq";

/** Where an entry belongs; `parent` lists the directories from the layer's root down. */
export type EntryPath =
  | { readonly kind: "root" }
  | { readonly kind: "file"; readonly parent: readonly string[]; readonly name: string }
  /** `name` is what is deleted. */
  | { readonly kind: "whiteout"; readonly parent: readonly string[]; readonly name: string }
  /** `parent` is what becomes opaque. */
  | { readonly kind: "opaque"; readonly parent: readonly string[] };

/** @throws {LayerRefusal} */
export function parseEntryPath(name: string): EntryPath {
  const components = splitPath(name);
  const last = components.at(-1);
  if (last === undefined) return { kind: "root" };
  const parent = components.slice(0, -1);
  if (parent.some((component) => component.startsWith(WHITEOUT_PREFIX)))
    throw new LayerRefusal("it is inside of a whiteout");
  if (!last.startsWith(WHITEOUT_PREFIX)) return { kind: "file", parent, name: last };
  if (last === OPAQUE_WHITEOUT) return { kind: "opaque", parent };
  const deleted = last.slice(WHITEOUT_PREFIX.length);
  if (deleted === "" || deleted === "." || deleted === "..") throw new LayerRefusal("it is a whiteout of nothing");
  // No file may be named so; aufs kept books under such names, which no image has had for ten years.
  if (deleted.startsWith(WHITEOUT_PREFIX)) throw new LayerRefusal("it is a whiteout of a whiteout");
  return { kind: "whiteout", parent, name: deleted };
}

/**
 * The target of a hard link: a path from the layer's root, like an entry's own.
 * @throws {LayerRefusal}
 */
export function parseLinkTarget(target: string): Extract<EntryPath, { kind: "file" }> {
  let path: EntryPath;
  try {
    path = parseEntryPath(target);
  } catch (error) {
    if (error instanceof LayerRefusal) throw new LayerRefusal(`its target cannot be: ${error.message}`);
    throw error;
  }
  if (path.kind !== "file") throw new LayerRefusal("it is a hard link to something that is no file");
  return path;
}

/** The names in a path, without `.` and empty ones; none for the root itself, which may be `/`, `.` or `./`. */
function splitPath(path: string): string[] {
  if (path === "") throw new LayerRefusal("it has no name");
  if (path.length > PATH_BYTES_MAX) throw new LayerRefusal(`its path is longer than ${PATH_BYTES_MAX} bytes`);
  if (path.includes("\0")) throw new LayerRefusal("its path contains a NUL");
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  if (path.startsWith("/") && components.length > 0) throw new LayerRefusal("its path is absolute");
  if (components.includes("..")) throw new LayerRefusal("its path leads up with ..");
  if (components.length > DEPTH_MAX) throw new LayerRefusal(`its path is deeper than ${DEPTH_MAX} directories`);
  if (components.some((component) => component.length > NAME_BYTES_MAX))
    throw new LayerRefusal(`a name in its path is longer than ${NAME_BYTES_MAX} bytes`);
  return components;
}
