/** Images that jobs can run, put into a registry: the machine's own `bash`, and what Dockerfiles make of it. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadConfig } from "../../../shared/config.ts";
import { buildDockerfile } from "../../../worker/images/dockerfile/build-dockerfile.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { pushImage } from "../../../worker/images/registry/push.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { StepContainers } from "../../../worker/step-containers.ts";
import { publishBase } from "./base-image.ts";
import { settings } from "./settings.ts";

export class JobImages implements AsyncDisposable {
  readonly #registry: string;
  readonly #directory: string;
  readonly #store: ImageStore;
  #contexts = 0;

  private constructor(registry: string, directory: string, store: ImageStore) {
    this.#registry = registry;
    this.#directory = directory;
    this.#store = store;
  }

  /** Puts `base:1` there. */
  static async open(registry: string): Promise<JobImages> {
    const base = await publishBase(registry);
    const directory = await mkdtemp(join(tmpdir(), "longshore-job-images-"));
    const store = await ImageStore.open(join(directory, "images"));
    await pullImage(store, base, settings);
    return new JobImages(registry, directory, store);
  }

  /**
   * Builds a Dockerfile that begins where `base:1` ends, and pushes the image.
   * @param name repository and tag, e.g. `team/tool:1`
   * @returns its digest
   */
  async publish(name: string, instructions: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
    const context = join(this.#directory, `context-${this.#contexts++}`);
    const dockerfile = `FROM ${this.#registry}/base:1\n${instructions}\n`;
    for (const [path, content] of Object.entries({ ...files, Dockerfile: dockerfile })) {
      await mkdir(dirname(join(context, path)), { recursive: true });
      await writeFile(join(context, path), content);
    }
    await using runner = new StepContainers({ dataDirectory: this.#directory, idBase: loadConfig({}).idBase });
    const reference = `${this.#registry}/${name}`;
    const image = await buildDockerfile(this.#store, {
      context,
      dockerfile: join(context, "Dockerfile"),
      names: [reference],
      network: "none",
      cache: "used",
      findImage: async (base) => {
        const found = await this.#store.resolve(base);
        if (found === undefined) throw new Error(`image ${base} is not here`);
        return found;
      },
      runner,
      onEvent: () => undefined,
      signal: new AbortController().signal,
    });
    return (await pushImage(this.#store, image, reference, settings)).digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}
