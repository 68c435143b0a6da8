import { join } from "node:path";
import { findExecutable } from "../executables.ts";
import { ForeignCgroup } from "../foreign-cgroup.ts";
import { type Candidate, tryOut } from "./candidate.ts";
import { writeBundle } from "./oci-bundle.ts";

/** A runtime with the command line that crun and runc share. */
interface OciRuntime {
  readonly name: string;
  /** Range of user ids, see `Workbench.idBase`. */
  readonly idRange: number;
  /** Options before `run`. */
  readonly options: readonly string[];
}

function ociRuntime({ name, idRange, options }: OciRuntime): Candidate {
  return {
    name,
    measures: `the whole command \`${name} run\`, with the same namespaces, limits and seccomp profile`,
    lacks: "a union mount (its root is a directory), a writable root, an init, pipes, collected output, usage",
    async open({ bench, spawner, resources }) {
      const path = findExecutable(name);
      if (path === undefined) return { kind: "unavailable", reason: `not installed (Debian: apt-get install ${name})` };
      const cgroup = resources.use(new ForeignCgroup(`longshore-bench-${process.pid}-${name}`));
      const bundle = await writeBundle(bench, name, bench.idBase(idRange), `${cgroup.path}/container`);
      const state = ["--root", join(bundle, "state")];
      const command = [path, ...state, ...options, "run", "--bundle", bundle, "bench"] as const;
      return tryOut(() => spawner.time({ command }));
    },
  };
}

/** crun, in C. */
export const crun = ociRuntime({ name: "crun", idRange: 2, options: ["--cgroup-manager", "cgroupfs"] });

/** runc, in Go: what Docker and containerd use. */
export const runc = ociRuntime({ name: "runc", idRange: 3, options: [] });
