/** Users by name or number, as an image's own /etc/passwd and /etc/group know them. */
import { closeSync, readFileSync } from "node:fs";
import { type FileTree, resolveIn, TreeError } from "./file-tree.ts";

/** Ids inside a container, 0 to 65535. */
export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Who a process runs as. */
export interface User extends Ids {
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly home: string;
}

/** A user namespace of a container maps as many ids. */
const LAST_ID = 65_535;

/** Largest table that is read, in bytes: it is an image's, and read as a whole. */
const TABLE_BYTES_MAX = 1024 * 1024;

/**
 * The user that `USER` or an image's configuration names: `name`, `uid`, either with `:group` or `:gid`. Nothing is
 * root. A number need not be in the image; its group is then 0. Without a group it is the user's own, together with
 * those that list the user as a member (image-spec v1.1, "config", `User`).
 * @throws {TreeError} when the image does not know a name, or a number is out of range
 */
export function resolveUser(tree: FileTree, text: string): User {
  const [userName = "", groupName, ...more] = (text === "" ? "0" : text).split(":");
  if (userName === "" || groupName === "" || more.length > 0)
    throw new TreeError(`${JSON.stringify(text)} is neither a user nor user:group`);
  const number = idOf(userName);
  const entry = readTable(tree, "etc/passwd").find(([name, , uid]) =>
    number === undefined ? name === userName : uid !== undefined && idOrNothing(uid) === number,
  );
  if (number === undefined && entry === undefined)
    throw new TreeError(`user ${userName} is not in the image's /etc/passwd`);
  const [name, , uid = "", gid = "", , home = ""] = entry ?? [];
  const ownId = number ?? readId(uid, userName);
  const ownGroup = entry === undefined ? 0 : readId(gid, userName);
  return {
    uid: ownId,
    gid: groupName === undefined ? ownGroup : resolveGroup(tree, groupName),
    groups: groupName === undefined && name !== undefined ? groupsWith(tree, name, ownGroup) : [],
    home: home === "" ? (ownId === 0 ? "/root" : "/") : home,
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
  if (entry === undefined) throw new TreeError(`group ${groupName} is not in the image's /etc/group`);
  return readId(entry[2] ?? "", groupName);
}

/** The groups that list a user as a member, but for the user's own. */
function groupsWith(tree: FileTree, userName: string, ownGroup: number): number[] {
  const memberships = readTable(tree, "etc/group").filter(([, , , members = ""]) =>
    members.split(",").includes(userName),
  );
  const ids = new Set(memberships.map(([name = "", , gid = ""]) => readId(gid, name)));
  ids.delete(ownGroup);
  return [...ids];
}

/** @returns undefined for what is a name */
function idOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? readId(text, text) : undefined;
}

/** As {@link idOf}; what is out of range is nobody's we look for. */
function idOrNothing(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}

function readId(text: string, name: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  if (id !== undefined && id <= LAST_ID) return id;
  const what = text === name ? `the id ${text}` : `the id ${JSON.stringify(text)} of ${name}`;
  throw new TreeError(`${what} is not from 0 to ${LAST_ID}, which is all that a container has`);
}

/** The lines of a table in fields; none where there is no such file. */
function readTable(tree: FileTree, path: string): string[][] {
  const { entry } = resolveIn(tree, path);
  if (entry === undefined || entry === "root" || !entry.status.isFile()) return [];
  if (entry.status.size > TABLE_BYTES_MAX)
    throw new TreeError(`the image's /${path} is larger than ${TABLE_BYTES_MAX} bytes`);
  const descriptor = tree.open(entry.path);
  try {
    return readFileSync(descriptor, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(":"));
  } finally {
    closeSync(descriptor);
  }
}
