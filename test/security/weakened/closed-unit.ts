/** Cgroups as systemd makes them for a unit with `DevicePolicy=closed`, in either version. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseMountInfo } from "../../../worker/cgroup/mounts.ts";

/** The devices that such a unit has; it may make others, which unpacks layers that have some. */
const DEVICES = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2"];

/** A unit to run programs in; it goes when they have. */
export class ClosedUnit implements Disposable {
  readonly #cgroup: string;

  private constructor(cgroup: string) {
    this.#cgroup = cgroup;
    mkdirSync(cgroup);
  }

  /** Where this machine has such groups: v1's controller, v2's tree, on many machines both. */
  static get versions(): readonly (1 | 2)[] {
    return ([1, 2] as const).filter((version) => rootOf(version) !== undefined);
  }

  static open(version: 1 | 2): ClosedUnit {
    const unit = new ClosedUnit(join(rootOf(version) ?? "", `longshore-test-${process.pid}`));
    using undo = new DisposableStack();
    undo.use(unit);
    if (version === 1) unit.#closeByFiles();
    else unit.#closeByProgram();
    undo.move();
    return unit;
  }

  /** Runs what follows it in the unit. */
  get launcher(): readonly string[] {
    return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.#cgroup];
  }

  #closeByFiles(): void {
    writeFileSync(join(this.#cgroup, "devices.deny"), "a");
    for (const rule of [...DEVICES.map((device) => `c ${device} rwm`), "c *:* m", "b *:* m"]) {
      writeFileSync(join(this.#cgroup, "devices.allow"), rule);
    }
  }

  #closeByProgram(): void {
    using directory = mkdtempDisposableSync(join(tmpdir(), "longshore-devices-"));
    const program = join(directory.path, "close-devices");
    execFileSync("gcc", ["-Wall", "-Werror", "-o", program, join(import.meta.dirname, "close-devices.c")]);
    execFileSync(program, [this.#cgroup, ...DEVICES]);
  }

  [Symbol.dispose](): void {
    // On v2 a runtime has made room for its containers, and leaves that to those who come after it.
    const children = readdirSync(this.#cgroup, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of children) rmdirSync(join(this.#cgroup, name));
    rmdirSync(this.#cgroup);
  }
}

/** The top of the tree that decides about devices. */
function rootOf(version: 1 | 2): string | undefined {
  const hierarchy = version === 1 ? "devices" : "";
  const mounts = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
  const mount = mounts.find(({ hierarchies, root }) => root === "/" && hierarchies.includes(hierarchy));
  return mount !== undefined && existsSync(mount.mountPoint) ? mount.mountPoint : undefined;
}
