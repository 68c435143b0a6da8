import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { detectCgroups, type V1Controller } from "../../../worker/cgroup/detect.ts";
import { CgroupFiles } from "../../../worker/cgroup/files.ts";
import { killProcesses, removeCgroup, subtree } from "../../../worker/cgroup/removal.ts";

/** By controller: where its cgroups are made. */
type Parents = Readonly<Record<V1Controller, string>>;

/** Period of a CPU quota, in microseconds: the kernel's default. */
const PERIOD_US = 100_000;

/** A cgroup of the test's own, in every hierarchy that a worker uses, for one program and whatever that makes below it. */
export class FaultCgroup implements Disposable {
  readonly name: string;
  readonly #version: 1 | 2;
  readonly #parents: Parents;

  /** @param name without a slash; not one that anybody else would use */
  constructor(name: string) {
    this.name = name;
    const layout = detectCgroups();
    this.#version = layout.version;
    this.#parents = layout.version === 1 ? layout.directories : rootsOf(layout.directory);
    for (const directory of this.#directories()) mkdirSync(directory);
  }

  /** A command that enters the cgroup before it becomes the one that is given. */
  enter(command: readonly string[]): string[] {
    const files = this.#directories().map((directory) => `${directory}/cgroup.procs`);
    const script = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"';
    return ["sh", "-c", script, "enter", ...files, "--", ...command];
  }

  /** Limits memory, of all that is in it together. */
  limitMemory(bytes: number): void {
    this.#write("memory", this.#version === 1 ? "memory.limit_in_bytes" : "memory.max", bytes);
  }

  /** Memory in use, in bytes. */
  memory(): number {
    const file = this.#version === 1 ? "memory.usage_in_bytes" : "memory.current";
    return Number(readFileSync(join(this.#parents.memory, this.name, file), "utf8"));
  }

  /**
   * Takes memory of it until it is given back: a file on a tmpfs, which belongs to no process that could be killed for it.
   * @param path of the file to be made
   */
  async takeMemory(path: string, bytes: number): Promise<void> {
    const [command = "", ...words] = this.enter(["sh", "-c", `exec head -c ${bytes} /dev/zero > "$1"`, "fill", path]);
    // For want of memory the kernel may end it, too.
    await once(spawn(command, words, { stdio: "ignore" }), "exit");
  }

  /** @param cores that all that is in it may use together; undefined: no limit */
  limitCpu(cores: number | undefined): void {
    const quota = cores === undefined ? undefined : Math.round(cores * PERIOD_US);
    if (this.#version === 1) this.#write("cpu", "cpu.cfs_quota_us", quota ?? -1);
    else this.#write("cpu", "cpu.max", `${quota ?? "max"} ${PERIOD_US}`);
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

  #write(controller: "cpu" | "memory", file: string, value: string | number): void {
    writeFileSync(join(this.#parents[controller], this.name, file), String(value));
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
