import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ProgramCgroup } from "../../support/program-cgroup.ts";

/** Period of a CPU quota, in microseconds: the kernel's default. */
const PERIOD_US = 100_000;

/** A program's cgroup, of which memory and CPU can be taken away. */
export class FaultCgroup extends ProgramCgroup {
  /** Limits memory, of all that is in it together. */
  limitMemory(bytes: number): void {
    this.#write("memory", this.version === 1 ? "memory.limit_in_bytes" : "memory.max", bytes);
  }

  /** Memory in use, in bytes. */
  memory(): number {
    const file = this.version === 1 ? "memory.usage_in_bytes" : "memory.current";
    return Number(readFileSync(join(this.directoryOf("memory"), file), "utf8"));
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
    if (this.version === 1) this.#write("cpu", "cpu.cfs_quota_us", quota ?? -1);
    else this.#write("cpu", "cpu.max", `${quota ?? "max"} ${PERIOD_US}`);
  }

  #write(controller: "cpu" | "memory", file: string, value: string | number): void {
    writeFileSync(join(this.directoryOf(controller), file), String(value));
  }
}
