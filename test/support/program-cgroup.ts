import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { detectCgroups, type V1Controller } from "../../worker/cgroup/detect.ts";
import { CgroupFiles } from "../../worker/cgroup/files.ts";
import { killProcesses, removeCgroup, subtree } from "../../worker/cgroup/removal.ts";

/** By controller: where its cgroups are made. */
type Parents = Readonly<Record<V1Controller, string>>;

/** A cgroup of the test's own, in every hierarchy that a worker uses, for one program and whatever that makes below it. */
export class ProgramCgroup implements Disposable {
  readonly name: string;
  readonly version: 1 | 2;
  readonly #parents: Parents;

  /** @param name without a slash; not one that anybody else would use */
  constructor(name: string) {
    this.name = name;
    const layout = detectCgroups();
    this.version = layout.version;
    this.#parents = layout.version === 1 ? layout.directories : rootsOf(layout.directory);
    for (const directory of this.#directories()) mkdirSync(directory);
  }

  /** Its directory in the hierarchy of a controller. */
  directoryOf(controller: V1Controller): string {
    return join(this.#parents[controller], this.name);
  }

  /** A command that enters the cgroup before it becomes the one that is given. */
  enter(command: readonly string[]): string[] {
    const files = this.#directories().map((directory) => `${directory}/cgroup.procs`);
    const script = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';
    return ["sh", "-c", script, "enter", ...files, "--", ...command];
  }

  /** Processes in it and below, as the machine counts. */
  processes(): number[] {
    const files = new CgroupFiles();
    return [...new Set(this.#directories().flatMap((top) => subtree(files, top).flatMap((it) => files.processes(it))))];
  }

  /** Cgroups below it. */
  children(): string[] {
    const files = new CgroupFiles();
    return this.#directories().flatMap((top) => subtree(files, top).filter((directory) => directory !== top));
  }

  [Symbol.dispose](): void {
    const files = new CgroupFiles();
    const all = this.#directories().flatMap((directory) => subtree(files, directory));
    const killAll = (): void => killProcesses(files, all);
    for (const directory of all) removeCgroup(files, directory, killAll);
  }

  #directories(): string[] {
    return [...new Set(Object.values(this.#parents))].map((parent) => join(parent, this.name));
  }
}

/**
 * On v2, the root of the hierarchy: in a cgroup that has processes, as ours does, there can be none with limits
 * (cgroup-v2.rst, "no internal process constraint").
 */
function rootsOf(own: string): Parents {
  const [, path = ""] = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8")) ?? [];
  const root = own.slice(0, own.length - path.length);
  return { cpu: root, cpuacct: root, memory: root, pids: root };
}
