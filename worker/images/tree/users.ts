/** Users by name or number, as an image's own /etc/passwd and /etc/group know them. */
import { closeSync, readFileSync } from "node:fs";
import { type FileTree, resolveIn } from "./file-tree.ts";

/** Ids inside a container, 0 to 65535. */
export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Who a process runs as. */
export interface User extends Ids {
  readonly home: string;
}

/** A user namespace of a container maps as many ids. */
const LAST_ID = 65_535;

/**
 * The user that `USER` or an image's configuration names: `name`, `uid`, either with `:group` or `:gid`. Nothing is
 * root. A number need not be in the image; its group is then 0.
 * @throws when the image does not know a name, or a number is out of range
 */
export function resolveUser(tree: FileTree, text: string): User {
  const [userName = "", groupName] = (text === "" ? "0" : text).split(":", 2);
  const number = idOf(userName);
  const entry = readTable(tree, "etc/passwd").find(([name, , uid]) =>
    number === undefined ? name === userName : Number(uid) === number,
  );
  if (number === undefined && entry === undefined)
    throw new Error(`user ${userName} is not in the image's /etc/passwd`);
  const [, , uid = number, gid = 0, , home = ""] = entry ?? [];
  return {
    uid: number ?? checked(Number(uid), userName),
    gid: groupName === undefined ? checked(Number(gid), userName) : resolveGroup(tree, groupName),
    home: home === "" ? (Number(uid) === 0 ? "/root" : "/") : home,
  };
}

/**
 * The owner that `--chown` names: as above, but a user without a group owns with the group of the same number.
 * @throws as {@link resolveUser}
 */
export function resolveOwner(tree: FileTree, text: string): Ids {
  const { uid, gid } = resolveUser(tree, text);
  if (text.includes(":")) return { uid, gid };
  return { uid, gid: idOf(text) === undefined ? gid : uid };
}

function resolveGroup(tree: FileTree, groupName: string): number {
  const number = idOf(groupName);
  if (number !== undefined) return number;
  const entry = readTable(tree, "etc/group").find(([name]) => name === groupName);
  if (entry === undefined) throw new Error(`group ${groupName} is not in the image's /etc/group`);
  return checked(Number(entry[2]), groupName);
}

function idOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? checked(Number(text), text) : undefined;
}

function checked(id: number, text: string): number {
  if (Number.isInteger(id) && id >= 0 && id <= LAST_ID) return id;
  throw new Error(`the id of ${text} is not from 0 to ${LAST_ID}, which is all that a container has`);
}

function readTable(tree: FileTree, path: string): string[][] {
  const { entry } = resolveIn(tree, path);
  if (entry === undefined || entry === "root" || !entry.status.isFile()) return [];
  const descriptor = tree.open(entry.path);
  try {
    return readFileSync(descriptor, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } finally {
    closeSync(descriptor);
  }
}
