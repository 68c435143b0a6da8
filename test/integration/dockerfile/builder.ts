import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadConfig } from "../../../shared/config.ts";
import {
  buildDockerfile,
  type BuildEvent,
  type DockerfileBuild,
} from "../../../worker/images/dockerfile/build-dockerfile.ts";
import { LayeredTree } from "../../../worker/images/tree/layered-tree.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { StepContainers } from "../../../worker/step-containers.ts";

/** Ids that no worker of this machine has: the last ones of the range. */
const ID_BASE = 0x7f00_0000;

export interface Built {
  readonly image: StoredImage;
  readonly events: readonly BuildEvent[];
}

/** Builds in a store of its own, on top of this machine's images. */
export class Builder implements AsyncDisposable {
  readonly store: ImageStore;
  readonly directory: string;
  readonly #machine: ImageStore;
  readonly #runner: StepContainers;
  #contexts = 0;

  private constructor(directory: string, store: ImageStore, machine: ImageStore) {
    this.directory = directory;
    this.store = store;
    this.#machine = machine;
    this.#runner = new StepContainers({ dataDirectory: directory, idBase: ID_BASE });
  }

  static async open(): Promise<Builder> {
    const directory = await mkdtemp(join(tmpdir(), "longshore-dockerfile-"));
    const machine = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
    return new Builder(directory, await ImageStore.open(join(directory, "images")), machine);
  }

  /** Makes a context of files by path. */
  async context(files: Readonly<Record<string, string>>): Promise<string> {
    const context = join(this.directory, `context-${this.#contexts++}`);
    await mkdir(context);
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(context, path)), { recursive: true });
      await writeFile(join(context, path), content);
    }
    return context;
  }

  async build(context: string, options: Partial<DockerfileBuild> = {}): Promise<Built> {
    const events: BuildEvent[] = [];
    const image = await buildDockerfile(this.store, {
      context,
      dockerfile: join(context, "Dockerfile"),
      names: ["test"],
      network: "none",
      cache: "used",
      findImage: async (reference) => {
        const found = (await this.store.resolve(reference)) ?? (await this.#machine.resolve(reference));
        if (found === undefined) throw new Error(`image ${reference} is not here: bash infra/setup.sh test`);
        return found;
      },
      runner: this.#runner,
      onEvent: (event) => events.push(event),
      signal: new AbortController().signal,
      ...options,
    });
    return { image, events };
  }

  /** Builds a Dockerfile in a context of its own. */
  async buildText(
    dockerfile: string,
    files: Readonly<Record<string, string>> = {},
    options: Partial<DockerfileBuild> = {},
  ): Promise<Built> {
    return this.build(await this.context({ ...files, Dockerfile: dockerfile }), options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

/** The image's files, as a container would see them. */
export function treeOf({ lowerDirs }: StoredImage): LayeredTree {
  return new LayeredTree(lowerDirs);
}

/** What the steps of a build printed. */
export function outputOf(events: readonly BuildEvent[]): string[] {
  return events.flatMap((event) => (event.kind === "output" ? [event.text] : []));
}
