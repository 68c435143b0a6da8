import { chmod, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ID_RANGE_END, IDS_PER_SLOT } from "../../shared/ids.ts";
import { defaultMaxima, resolveLimits } from "../../shared/limits.ts";
import type { CgroupRoot } from "../../worker/cgroup/cgroup.ts";
import { detectCgroups } from "../../worker/cgroup/detect.ts";
import { openCgroups } from "../../worker/cgroup/open.ts";
import type { HostFacts } from "../../worker/container/plan/facts.ts";
import { inspectHost } from "../../worker/container/runtime.ts";
import type { SlotOptions } from "../../worker/container/slot.ts";
import type { ContainerSpec } from "../../worker/container/spec.ts";
import { hostArchitecture } from "../../worker/images/oci.ts";
import { ImageStore } from "../../worker/images/store.ts";
import { compileStaticProgram } from "./static-program.ts";

/** What a container's root is: see `ContainerSpec.rootfs`. */
export type Rootfs = ContainerSpec["rootfs"];

const IMAGE = "bench";

const CGROUP_PREFIX = "bench-";

/** Ranges of user ids that a bench takes: the last ones that slots may have, far from those of real workers. */
const RANGES = 8;

/**
 * What all measurements share: the program, as a file and as an image of one layer, in a temporary data directory, and
 * a worker's cgroup. Disposing of it leaves nothing of them.
 */
export class Workbench implements AsyncDisposable {
  /** Temporary, and passable for every user: other runtimes look for their files as root of a user namespace. */
  readonly directory: string;
  /** A worker's data directory, with the image. */
  readonly dataDirectory: string;
  /** Reference of the image. */
  readonly image = IMAGE;
  /** Path of the program, inside of a container. */
  readonly command = "/program";
  /** The program on the host. */
  readonly program: string;
  /** The image's only layer. */
  readonly layer: string;
  readonly host: HostFacts;
  readonly cgroupRoot: CgroupRoot;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    paths: Pick<Workbench, "directory" | "dataDirectory" | "program" | "layer">,
    cgroupRoot: CgroupRoot,
    resources: AsyncDisposableStack,
  ) {
    this.directory = paths.directory;
    this.dataDirectory = paths.dataDirectory;
    this.program = paths.program;
    this.layer = paths.layer;
    this.host = inspectHost();
    this.cgroupRoot = cgroupRoot;
    this.#resources = resources;
  }

  /** Prepares the machine. @throws {Error} when it lacks something; the message names the way out */
  static async open(): Promise<Workbench> {
    await using resources = new AsyncDisposableStack();
    // As in a worker: modes are meant as they are written, less what a login would mask.
    process.umask(0o022);
    const directory = await mkdtemp(join(tmpdir(), "longshore-bench-"));
    resources.defer(() => rm(directory, { recursive: true }));
    await chmod(directory, 0o755);

    const program = await compileStaticProgram(directory);
    const dataDirectory = join(directory, "data");
    const layer = await storeImage(join(dataDirectory, "images"), program);

    const cgroupRoot = { layout: detectCgroups(), worker: `${CGROUP_PREFIX}${process.pid}` };
    const cgroups = openCgroups(cgroupRoot);
    // What benches left that were killed.
    cgroups.removeAbandoned((name) => name.startsWith(CGROUP_PREFIX));
    resources.defer(() => cgroups.remove());
    cgroups.prepare();
    return new Workbench({ directory, dataDirectory, program, layer }, cgroupRoot, resources.move());
  }

  /** The host's first id of one of the bench's {@link RANGES} ranges. */
  idBase(range: number): number {
    if (range >= RANGES) throw new RangeError(`a bench has ${RANGES} ranges of ids: raise it for another one`);
    return ID_RANGE_END - (RANGES - range) * IDS_PER_SLOT;
  }

  /** Options of a slot; indexes count from 0, and none is used twice at once. */
  slotOptions(index: number): SlotOptions {
    const { dataDirectory, cgroupRoot, host } = this;
    return { index, idBase: this.idBase(index), dataDirectory, cgroups: cgroupRoot, host };
  }

  /** The program in a container, under the default limits: what a worker makes of a job that names the image. */
  spec(rootfs: Rootfs, layers: readonly string[] = [this.layer]): ContainerSpec {
    return {
      layers: layers.map((path) => ({ kind: "directory", path })),
      rootfs,
      command: [this.command],
      environment: {},
      workingDirectory: "/work",
      user: { uid: 1000, gid: 1000 },
      files: [],
      stdin: new Uint8Array(),
      limits: resolveLimits(defaultMaxima, {}),
      outputs: [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Stores an image of one layer, with one file in it; returns the layer's directory. */
async function storeImage(directory: string, program: string): Promise<string> {
  const images = await ImageStore.open(directory);
  const staging = join(directory, "staging", "layer");
  await mkdir(staging, { mode: 0o755 });
  await copyFile(program, join(staging, "program"));
  await chmod(join(staging, "program"), 0o755);
  const layer = await images.layers.commit(staging);
  const rootfs = { type: "layers" as const, diff_ids: [layer.digest] };
  await images.commit(IMAGE, { architecture: hostArchitecture(), os: "linux", config: {}, rootfs }, [layer], {});
  return layer.path;
}
