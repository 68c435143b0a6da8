/**
 * Directories that a layer has only because something lies in them: its archive has `usr/local/bin/tool`, and not
 * `usr/local/bin/`. Nothing is known of their owner, mode and time; in the image they look as in the layer below
 * (`parents/implied-parents.ts`). A mark on the directory says so: there may be many, and none has to be remembered. Containers
 * do not see it, attributes of this kind are for the host's root only.
 */
import { setDescriptorXattr } from "../../linux/files.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { readXattr, removeXattr } from "../../linux/xattr.ts";

const MARK = "trusted.longshore.implied";
const [NAME, VALUE] = [Buffer.from(`${MARK}\0`), Buffer.from("y")];

export function markImplied(descriptor: number): void {
  const result = setDescriptorXattr(descriptor, NAME, VALUE);
  if (result < 0) throw new SystemCallError("fsetxattr", -result);
}

/** Takes the mark away: the archive has an entry of the directory after all. @returns whether there was one */
export function unmarkImplied(descriptor: number): boolean {
  // The dot: an attribute of the directory, not of the link in /proc.
  const path = `/proc/self/fd/${descriptor}/.`;
  if (readXattr(path, MARK) === undefined) return false;
  removeXattr(path, MARK);
  return true;
}

/** Whether a layer says nothing of a directory but what is in it. */
export function isImplied(path: string): boolean {
  return readXattr(path, MARK) !== undefined;
}
