import { constants } from "node:os";

const names = firstNames(constants.errno);
const signals = firstNames(constants.signals);

/** Names by number. Of aliases the first counts: SIGABRT and not SIGIOT, EAGAIN and not EWOULDBLOCK. */
function firstNames(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(
    Object.entries(table)
      .toReversed()
      .map(([name, value]) => [value, name]),
  );
}

/** Name of an error number, such as `ENOENT`; `errno N` for one that Node does not know. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** Name of a signal, such as `SIGSEGV`; `SIGRT+N` for the real-time ones. */
export function signalName(signal: number): string {
  return signals.get(signal) ?? `SIGRT+${signal - 34}`;
}

/** A system call failed where it must not: a fault of ours or of the host's. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** Name of the call, e.g. `memfd_create`. */
  readonly call: string;
  /** Name of the error, e.g. `EMFILE`. */
  readonly errno: string;

  constructor(call: string, errno: number) {
    super(`${call}: ${errnoName(errno)}`);
    this.call = call;
    this.errno = errnoName(errno);
  }
}
