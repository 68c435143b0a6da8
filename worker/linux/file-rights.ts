import { SystemCallError } from "./errno.ts";
import { mustCall } from "./libc.ts";

/** Ids by which the kernel judges who may open a file, as the host counts. */
export interface FileRights {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const ID_BYTES = 4;
const EPERM = 1;

/**
 * Has the calling thread, which is root's, open files with the rights of somebody else until the answer is disposed of.
 *
 * setfsuid(2), setfsgid(2) and setgroups(2) as system calls are the thread's alone. With an id that is not 0 the kernel
 * takes the capabilities out of effect that pass permissions by, and gives them back with id 0 (capabilities(7),
 * "Effect of user ID changes on capabilities"). Descriptors that are open stay what they are.
 * @throws {SystemCallError} when the thread may not
 */
export function openFilesAs({ uid, gid, groups }: FileRights): Disposable {
  const own = readGroups();
  setGroups(groups);
  mustCall("setfsgid", gid);
  mustCall("setfsuid", uid);
  const rights = {
    [Symbol.dispose]() {
      mustCall("setfsuid", 0);
      mustCall("setfsgid", 0);
      setGroups(own);
    },
  };
  // These two calls do not fail: they answer with the id from before. Nobody has the id -1, so it is only asked for.
  const isSet = mustCall("setfsuid", -1) === uid && mustCall("setfsgid", -1) === gid;
  if (isSet) return rights;
  rights[Symbol.dispose]();
  throw new SystemCallError("setfsuid", EPERM);
}

function readGroups(): readonly number[] {
  const count = mustCall("getgroups", 0, 0);
  const ids = Buffer.alloc(count * ID_BYTES);
  const read = count === 0 ? 0 : mustCall("getgroups", count, ids);
  return Array.from({ length: read }, (_, index) => ids.readUInt32LE(index * ID_BYTES));
}

function setGroups(groups: readonly number[]): void {
  mustCall("setgroups", groups.length, groups.length === 0 ? 0 : Buffer.from(Uint32Array.from(groups).buffer));
}
