import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findExecutable } from "../executables.ts";
import { type Candidate, tryOut } from "./candidate.ts";
import { makeRoot } from "./oci-bundle.ts";

/** Descriptor under which bwrap finds the filter: the first after the standard streams. */
const FILTER_DESCRIPTOR = 3;

/** bubblewrap, in C: what Flatpak uses. It knows no cgroups. */
export const bubblewrap: Candidate = {
  name: "bubblewrap",
  measures: "the whole command `bwrap`, with the same namespaces and seccomp filter",
  lacks:
    "limits (no cgroup, no rlimits), a range of ids (it maps one), a union mount (its root is a bind mount), " +
    "a writable root, masked /proc, sizes of tmpfs, pipes, collected output, usage",
  async open({ bench, spawner }) {
    const path = findExecutable("bwrap");
    if (path === undefined)
      return { kind: "unavailable", reason: "not installed (Debian: apt-get install bubblewrap)" };
    const { user, command, workingDirectory } = bench.spec("readonly");
    const root = await makeRoot(bench, "bubblewrap", 0);
    const filter = join(bench.directory, "bubblewrap", "filter.bpf");
    await writeFile(filter, bench.host.seccomp);
    const words = [
      ...["--unshare-all", "--unshare-user", "--uid", String(user.uid), "--gid", String(user.gid)],
      ...["--hostname", "longshore", "--die-with-parent", "--new-session", "--cap-drop", "ALL"],
      ...["--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm"],
      ...["--tmpfs", "/tmp", "--tmpfs", "/work", "--chdir", workingDirectory],
      ...["--seccomp", String(FILTER_DESCRIPTOR), "--", ...command],
    ];
    return tryOut(() => spawner.time({ command: [path, ...words], input: filter }));
  },
};
