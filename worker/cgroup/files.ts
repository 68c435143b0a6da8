import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { constants } from "node:os";
import { AT, O } from "../linux/constants.ts";
import { SystemCallError } from "../linux/errno.ts";
import { HeldDirectory } from "../linux/held-directory.ts";
import { cString, systemCall } from "../linux/libc.ts";

const ENOENT = "ENOENT";

/**
 * The files of a cgroup file system. The one place that touches it, so that tests can put a tree of plain files there.
 *
 * Each call is as few system calls as there can be: a container that lives for 2 ms makes about twenty of them.
 * All throw {@link SystemCallError} with the path in its `call`.
 */
export class CgroupFiles {
  // A page: no file of numbers is longer.
  readonly #buffer = Buffer.allocUnsafeSlow(4096);
  /** Descriptors by path. */
  readonly #kept = new Map<string, number>();

  /** Makes a cgroup; one that exists is an error (EEXIST). @param mode by default everybody may look in */
  makeDirectory(path: string, mode = 0o755): void {
    attempt("mkdir", path, () => mkdirSync(path, { mode }));
  }

  /** Removes a cgroup without processes and children; one that is gone is fine. */
  removeDirectory(path: string): void {
    attemptUnlessMissing("rmdir", path, () => rmdirSync(path));
  }

  /** See {@link HeldDirectory.make}. */
  hold(path: string, make: () => void): HeldDirectory {
    return HeldDirectory.make(path, make);
  }

  /** See {@link HeldDirectory.tryHold}. */
  tryHold(path: string): HeldDirectory | undefined {
    return HeldDirectory.tryHold(path);
  }

  /** Writes to a file of the kernel's, in one write as the kernel wants it. */
  write(path: string, text: string): void {
    const bytes = Buffer.from(text);
    withFile("write", path, O.O_WRONLY, (descriptor) => systemCall("write", descriptor, bytes, bytes.byteLength));
  }

  /** Reads a file of numbers. */
  read(path: string): string {
    const buffer = this.#buffer;
    const kept = this.#kept.get(path);
    const length =
      kept === undefined
        ? withFile("read", path, O.O_RDONLY, (descriptor) => systemCall("read", descriptor, buffer, buffer.byteLength))
        : insist(`read ${path}`, systemCall("pread64", kept, buffer, buffer.byteLength, 0));
    return buffer.toString("latin1", 0, length);
  }

  /** Opens a file that is to be read before long, which then is a third of the work; until {@link close}. Not if it is missing. */
  keepOpen(path: string): void {
    const descriptor = systemCall("openat", AT.AT_FDCWD, cString(path), O.O_RDONLY | O.O_CLOEXEC);
    if (descriptor >= 0) this.#kept.set(path, descriptor);
  }

  /** Closes a file that was kept open, if it was. */
  close(path: string): void {
    const kept = this.#kept.get(path);
    if (kept !== undefined) systemCall("close", kept);
    this.#kept.delete(path);
  }

  /** Reads a file of numbers that older kernels do not have. */
  readIfPresent(path: string): string | undefined {
    return attemptUnlessMissing("read", path, () => this.read(path));
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  /** The cgroups directly below one, as full paths; none when it is gone. */
  children(path: string): readonly string[] {
    const entries = attemptUnlessMissing("readdir", path, () => readdirSync(path, { withFileTypes: true })) ?? [];
    return entries.filter((entry) => entry.isDirectory()).map((entry) => `${path}/${entry.name}`);
  }

  /** Ids of the processes in a cgroup; none when it is gone. Those outside of our PID namespace are 0. */
  processes(path: string): readonly number[] {
    return this.#numbers(`${path}/cgroup.procs`);
  }

  /** Ids of the threads in a cgroup of v1; none when it is gone. Those outside of our PID namespace are 0. */
  threads(path: string): readonly number[] {
    return this.#numbers(`${path}/tasks`);
  }

  /** Puts a thread into a cgroup of v1; one that has ended is fine. */
  moveThread(thread: number, path: string): void {
    try {
      this.write(`${path}/tasks`, String(thread));
    } catch (error) {
      if (!(error instanceof SystemCallError && error.errno === "ESRCH")) throw error;
    }
  }

  #numbers(file: string): readonly number[] {
    const text = attemptUnlessMissing("read", file, () => readFileSync(file, "latin1")) ?? "";
    return text.split("\n").filter(Boolean).map(Number);
  }
}

/**
 * Makes one call on a file; not by node:fs, whose three calls for it take as long again as the kernel.
 * @throws {SystemCallError} whose call is `name` and the path
 */
function withFile(name: string, path: string, flags: number, call: (descriptor: number) => number): number {
  const bytes = cString(path);
  const descriptor = uninterrupted(() => systemCall("openat", AT.AT_FDCWD, bytes, flags | O.O_CLOEXEC));
  if (descriptor < 0) throw new SystemCallError(`${name} ${path}`, -descriptor);
  const result = uninterrupted(() => call(descriptor));
  systemCall("close", descriptor);
  return insist(`${name} ${path}`, result);
}

/** v1 gives a memory limit up when a signal has come for its writer, to be written again. */
function uninterrupted(call: () => number): number {
  for (;;) {
    const result = call();
    if (-result !== constants.errno.EINTR) return result;
  }
}

function insist(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call, -result);
  return result;
}

function attempt<Result>(call: string, path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    const errno = error instanceof Error && "errno" in error ? error.errno : undefined;
    if (typeof errno !== "number") throw error;
    throw new SystemCallError(`${call} ${path}`, -errno);
  }
}

/** ENODEV is what a cgroup answers whose directory was removed after its file was opened. */
function attemptUnlessMissing<Result>(call: string, path: string, action: () => Result): Result | undefined {
  try {
    return attempt(call, path, action);
  } catch (error) {
    if (error instanceof SystemCallError && (error.errno === ENOENT || error.errno === "ENODEV")) return undefined;
    throw error;
  }
}

/** The number after `name` in a file of lines `name number`, as memory.events; 0 when it has no such line. */
export function fieldOf(text: string, name: string): number {
  const lines = `\n${text}`;
  const start = `\n${name} `;
  const place = lines.indexOf(start);
  return place === -1 ? 0 : Number.parseInt(lines.slice(place + start.length), 10);
}
