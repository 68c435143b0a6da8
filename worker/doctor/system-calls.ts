import { errnoName } from "../linux/errno.ts";
import { systemCall } from "../linux/libc.ts";
import type { SystemCall } from "../linux/system-calls.ts";
import { type Finding, missing, ok } from "./finding.ts";

/**
 * Calls that came late enough to be missing somewhere, with arguments for which a kernel that has the call refuses it
 * (EINVAL, EFAULT, EBADF) before it does anything. Source of the versions: the calls' man pages.
 */
const PROBES: readonly { readonly call: SystemCall; readonly since: string; readonly words: readonly number[] }[] = [
  { call: "fsopen", since: "5.2", words: [0, 0] },
  { call: "fsconfig", since: "5.2", words: [-1, 0, 0, 0, 0] },
  { call: "open_tree", since: "5.2", words: [-1, 0, 0] },
  { call: "move_mount", since: "5.2", words: [-1, 0, -1, 0, 0] },
  { call: "pidfd_open", since: "5.3", words: [-1, 0] },
  { call: "clone3", since: "5.3", words: [0, 0] },
  { call: "openat2", since: "5.6", words: [-1, 0, 0, 0] },
  { call: "close_range", since: "5.9", words: [1, 0, 0] },
  { call: "mount_setattr", since: "5.12", words: [-1, 0, 0, 0, 0] },
  { call: "memfd_create", since: "3.17", words: [0, 0] },
];

/** Every system call that a container is made with is there and allowed. */
export function checkSystemCalls(call: typeof systemCall = systemCall): Finding {
  const absent: string[] = [];
  const refused: string[] = [];
  for (const { call: name, since, words } of PROBES) {
    const errno = errnoName(-call(name, ...words));
    if (errno === "ENOSYS") absent.push(`${name} (linux ${since})`);
    if (errno === "EPERM") refused.push(name);
  }
  const name = "system calls";
  if (absent.length > 0) return missing(name, `not there: ${absent.join(", ")}`, "install a newer kernel");
  if (refused.length > 0) {
    return missing(
      name,
      `refused: ${refused.join(", ")}`,
      "run as root, and outside of a container engine's seccomp filter, e.g. docker run --security-opt seccomp=unconfined",
    );
  }
  return ok(name, PROBES.map((probe) => probe.call).join(", "));
}
