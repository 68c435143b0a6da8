import type { CgroupHierarchy, CgroupLimits } from "../../cgroup/cgroup.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { Sandbox, type SandboxPlace } from "./sandbox.ts";

/**
 * The sandboxes of a slot's containers. One is ready before a job comes, whatever the job will be: it takes 0.8 ms until
 * there is one, and nothing of that depends on the job but the limits of its cgroup. Those are what they were for the last
 * one, and written again where the next one has others. It takes about 0.15 MB of the kernel's memory while it waits.
 *
 *   made ──▶ spare ── take ──▶ a container's ──▶ gone with it
 */
export class Sandboxes implements Disposable {
  readonly #cgroups: CgroupHierarchy;
  readonly #prefix: string;
  readonly #place: SandboxPlace;
  #limits: CgroupLimits | undefined;
  #spare: Sandbox | undefined;
  #count = 0;

  /** @param prefix what the names of their cgroups begin with; a number follows */
  constructor(cgroups: CgroupHierarchy, prefix: string, place: SandboxPlace) {
    this.#cgroups = cgroups;
    this.#prefix = prefix;
    this.#place = place;
  }

  /** Says what limits the next ones will probably have. */
  expect(limits: CgroupLimits): void {
    this.#limits = limits;
  }

  /** One that nobody has used, with any limits or none; the caller's. @throws {SystemCallError} */
  take(): Sandbox {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare?.isAlive()) return spare;
    spare?.[Symbol.dispose]();
    return this.#make();
  }

  /** Has one ready, if there can be one: a run for which there is none has it made, and fails of the same. */
  tidy(): void {
    if (this.#spare?.isAlive() === false) this.clear();
    try {
      this.#spare ??= this.#make(this.#limits);
      this.#spare.awaitInit();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  /** Lets go of the one that is ready. */
  clear(): void {
    const spare = this.#spare;
    this.#spare = undefined;
    spare?.[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #make(limits?: CgroupLimits): Sandbox {
    return Sandbox.make(this.#cgroups.create(`${this.#prefix}${++this.#count}`, limits), this.#place);
  }
}
