import { constants } from "node:os";
import { LOCK } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { systemCall } from "./libc.ts";

/** Whether a lock admits other holders of its own kind. */
export type LockMode = "exclusive" | "shared";

/**
 * Locks the open file description behind a descriptor, if that takes no waiting (flock(2)).
 * @returns whether it is locked now
 * @throws {SystemCallError}
 */
export function tryFlock(descriptor: number, mode: LockMode): boolean {
  const operation = (mode === "shared" ? LOCK.LOCK_SH : LOCK.LOCK_EX) | LOCK.LOCK_NB;
  const result = systemCall("flock", descriptor, operation);
  if (result < 0 && -result !== constants.errno.EWOULDBLOCK) throw new SystemCallError("flock", -result);
  return result === 0;
}

/**
 * Locks the open file description behind a descriptor, and blocks the thread until that can be done.
 * @throws {SystemCallError}
 */
export function flock(descriptor: number, mode: LockMode): void {
  let result: number;
  do result = systemCall("flock", descriptor, mode === "shared" ? LOCK.LOCK_SH : LOCK.LOCK_EX);
  while (-result === constants.errno.EINTR);
  if (result < 0) throw new SystemCallError("flock", -result);
}
