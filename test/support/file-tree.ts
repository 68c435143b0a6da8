import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { readXattr } from "../../worker/linux/xattr.ts";

const XATTRS = ["security.capability", "trusted.overlay.opaque", "user.note", "user.empty"];

/** Everything about each file of a tree that a layer has to keep, one line for each path, sorted. */
export function listTree(root: string): string[] {
  const byInode = new Map<bigint, string>();
  const lines: string[] = [];
  // Names are raw bytes (latin1): not all are UTF-8.
  const visit = (path: string): void => {
    const absolute = Buffer.from(path === "" ? root : `${root}/${path}`, "latin1");
    const stats = lstatSync(absolute, { bigint: true });
    const first = byInode.get(stats.ino) ?? path;
    byInode.set(stats.ino, first);
    const xattrs = stats.isSymbolicLink() ? [] : XATTRS.flatMap((name) => showXattr(absolute, name));
    const mode = (stats.mode & 0o7777n).toString(8);
    const parts = [`/${path}`, content(absolute, stats), mode, `${stats.uid}:${stats.gid}`, stats.mtimeNs, ...xattrs];
    lines.push([...parts, ...(first === path ? [] : [`link to /${first}`])].join(" "));
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(absolute, "buffer")) visit(join(path, name.toString("latin1")));
  };
  visit("");
  return lines.sort();
}

function showXattr(path: Buffer, name: string): string[] {
  const value = readXattr(path, name);
  return value === undefined ? [] : [`${name}=${value.toString("hex")}`];
}

function content(path: Buffer, stats: BigIntStats): string {
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return `symlink to ${readlinkSync(path)}`;
  if (stats.isFile()) return createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
  if (stats.isFIFO()) return "fifo";
  return `${stats.isBlockDevice() ? "block" : "character"} device ${stats.rdev >> 8n}:${stats.rdev & 0xffn}`;
}
