import { closeSync } from "node:fs";
import { constants } from "node:os";
import { FCNTL } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { libc, mustCall } from "./libc.ts";

// Sizes from glibc's <spawn.h> on x86_64: posix_spawn_file_actions_t 80, posix_spawnattr_t 336; sigset_t 128.
const FILE_ACTIONS_BYTES = 80;
const ATTRIBUTES_BYTES = 336;
const SIGNAL_SET_BYTES = 128;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;

// All of posix_spawn(3) and its relatives return an error number, 0 on success. Arguments stay the caller's.
const posixSpawn = libc.func("posix_spawn", "int", ["void *", "str", "void *", "void *", "str *", "str *"]);
const actionsInit = libc.func("posix_spawn_file_actions_init", "int", ["void *"]);
const actionsDup2 = libc.func("posix_spawn_file_actions_adddup2", "int", ["void *", "int", "int"]);
const actionsDestroy = libc.func("posix_spawn_file_actions_destroy", "int", ["void *"]);
const attributesInit = libc.func("posix_spawnattr_init", "int", ["void *"]);
const setFlags = libc.func("posix_spawnattr_setflags", "int", ["void *", "short"]);
const setSignalDefault = libc.func("posix_spawnattr_setsigdefault", "int", ["void *", "void *"]);
const setSignalMask = libc.func("posix_spawnattr_setsigmask", "int", ["void *", "void *"]);

const attributes = spawnAttributes();

/** No signal blocked, none ignored: Node ignores SIGPIPE, and a program that inherits that misbehaves in pipelines. */
function spawnAttributes(): Buffer {
  const buffer = Buffer.alloc(ATTRIBUTES_BYTES);
  const none = Buffer.alloc(SIGNAL_SET_BYTES);
  const all = Buffer.alloc(SIGNAL_SET_BYTES);
  const withoutHandlers = [constants.signals.SIGKILL, constants.signals.SIGSTOP];
  for (let signal = 1; signal < 32; signal++) {
    if (!withoutHandlers.includes(signal)) all.writeUInt32LE((all.readUInt32LE() | (1 << (signal - 1))) >>> 0);
  }
  attributesInit(buffer);
  setFlags(buffer, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  setSignalDefault(buffer, all);
  setSignalMask(buffer, none);
  return buffer;
}

/**
 * Starts a program that gets `descriptors` as its descriptors 0, 1, 2, … and no other, with an empty environment.
 *
 * Everything else this process has open must be close-on-exec, as Node's and ours are. posix_spawn shares the memory
 * of the caller until the exec, so that its cost does not grow with Node's heap.
 *
 * @param argv its arguments, its own name first
 * @returns its process id
 * @throws {SystemCallError}
 */
export function spawn(path: string, descriptors: readonly number[], argv: readonly string[] = [path]): number {
  using copies = new DisposableStack();
  const actions = copies.adopt(Buffer.alloc(FILE_ACTIONS_BYTES), (buffer) => actionsDestroy(buffer));
  actionsInit(actions);
  for (const [target, descriptor] of descriptors.entries()) {
    actionsDup2(actions, outOfTheWay(descriptor, descriptors.length, copies), target);
  }
  const pid = Buffer.alloc(4);
  const error = Number(posixSpawn(pid, path, actions, attributes, [...argv, null], [null]));
  if (error !== 0) throw new SystemCallError("posix_spawn", error);
  return pid.readInt32LE();
}

/** The dup2s are made in order: a source among their targets would be overwritten before its turn, so it is moved up. */
function outOfTheWay(descriptor: number, targets: number, copies: DisposableStack): number {
  if (descriptor >= targets) return descriptor;
  return copies.adopt(mustCall("fcntl", descriptor, FCNTL.F_DUPFD_CLOEXEC, targets), closeSync);
}
