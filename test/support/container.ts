import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../shared/config.ts";
import { IDS_PER_SLOT } from "../../shared/ids.ts";
import { detectCgroups } from "../../worker/cgroup/detect.ts";
import type { HostFacts } from "../../worker/container/plan/facts.ts";
import { ContainerRuntime, inspectHost } from "../../worker/container/runtime.ts";
import { Slot } from "../../worker/container/slot.ts";
import type { WarmthOptions } from "../../worker/container/slot/waiting-containers.ts";
import type { ContainerResult, ContainerSpec, Layer, RunResult } from "../../worker/container/spec.ts";
import { ImageStore } from "../../worker/images/store.ts";

/** Far above the ids of real workers, so that tests may run beside one; and each of the files that run at once has others. */
const ID_BASE = 3_000_000_000 + Number(process.env["VITEST_POOL_ID"] ?? 0) * 64 * IDS_PER_SLOT;

/** Whether each container is prepared before it is run, where it can be (`vitest --project warm`). */
const IS_WARM = process.env["TEST_CONTAINERS"] === "warm";

/** A real slot on a data directory of its own, with the images that the set-up built. */
export class TestSlot implements AsyncDisposable {
  readonly slot: Slot;
  /** Name of the cgroup that its containers' are in. */
  readonly worker: string;
  /** The slot's own, with its scratch. */
  readonly directory: string;
  readonly #layers: readonly Layer[];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    slot: Slot,
    { worker, directory }: Pick<TestSlot, "worker" | "directory">,
    layers: readonly Layer[],
    resources: AsyncDisposableStack,
  ) {
    this.slot = slot;
    this.worker = worker;
    this.directory = directory;
    this.#layers = layers;
    this.#resources = resources;
  }

  /**
   * @param host what is to be believed about the machine, instead of what is found out
   * @param index which of several slots it is: each has user ids of its own
   * @param warmth what it prepares by itself after its runs
   */
  static async open(
    image = "python",
    host: Partial<HostFacts> = {},
    index = 0,
    warmth: WarmthOptions = { containersMax: IS_WARM ? 1 : 0, idleMs: Infinity },
  ): Promise<TestSlot> {
    await using resources = new AsyncDisposableStack();
    const dataDirectory = mkdtempSync(join(tmpdir(), "longshore-slot-"));
    resources.defer(() => rmSync(dataDirectory, { recursive: true }));
    const worker = `test-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const idBase = ID_BASE + index * IDS_PER_SLOT;
    resources.use(new ContainerRuntime({ dataDirectory, idBase, worker }));
    const cgroups = { layout: detectCgroups(), worker };
    const facts = { ...inspectHost(), ...host };
    const slot = resources.use(await Slot.open({ index, idBase, dataDirectory, cgroups, host: facts, warmth }));
    const store = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
    const stored = await store.resolve(image);
    if (stored === undefined) throw new Error(`image ${image} is not built: bash infra/setup.sh test`);
    const layers = stored.lowerDirs.map((path): Layer => ({ kind: "directory", path }));
    return new TestSlot(slot, { worker, directory: dataDirectory }, layers, resources.move());
  }

  /** A container like any other, with changes. */
  spec(command: ContainerSpec["command"], changes: SpecChanges = {}): ContainerSpec {
    return {
      layers: this.#layers,
      rootfs: "writable",
      command,
      environment: { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" },
      workingDirectory: "/work",
      user: { uid: 1000, gid: 1000 },
      files: [],
      stdin: new Uint8Array(),
      outputs: [],
      ...changes,
      limits: {
        cpus: 1,
        cpuTimeMs: 10_000,
        wallTimeMs: 20_000,
        memoryBytes: 128 * MiB,
        processes: 32,
        outputBytes: 1 * MiB,
        diskBytes: 32 * MiB,
        fileBytes: 32 * MiB,
        openFiles: 64,
        stackBytes: 8 * MiB,
        ...changes.limits,
      },
    };
  }

  /** The layers of the slot's image, lowest first. */
  get layers(): readonly Layer[] {
    return this.#layers;
  }

  /** Runs a spec; anything but a container that ran to its end is an error. */
  async run(spec: ContainerSpec): Promise<RunResult> {
    const result = await this.attempt(spec);
    if (result.kind !== "ended") throw new Error(`the container did not run: ${JSON.stringify(result)}`);
    return result;
  }

  async attempt(spec: ContainerSpec, signal = new AbortController().signal): Promise<ContainerResult> {
    if (IS_WARM) await this.slot.prepareFor(spec);
    return await this.slot.run(spec, signal);
  }

  /** Runs a shell script. */
  bash(script: string, changes: SpecChanges = {}): Promise<RunResult> {
    return this.run(this.spec(["bash", "-c", script], changes));
  }

  /** Runs a Python program. */
  python(program: string, changes: SpecChanges = {}): Promise<RunResult> {
    return this.run(this.spec(["python3", "-c", program], changes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Changes to a spec; of its limits only some. */
export type SpecChanges = Omit<Partial<ContainerSpec>, "limits"> & {
  readonly limits?: Partial<ContainerSpec["limits"]>;
};

export const MiB = 1024 * 1024;

/** What was written to a stream, as text. */
export function text(stream: RunResult["stdout"]): string {
  return Buffer.from(stream.content).toString();
}
