import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf, hexOf } from "./digest.ts";
import { writeFileDurably } from "./durable.ts";

/** Small immutable documents (manifests and configurations), each in a file named by the digest of its bytes. */
export class BlobStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<BlobStore> {
    await mkdir(join(directory, "sha256"), { recursive: true });
    return new BlobStore(join(directory, "sha256"));
  }

  /** Stores `content`; storing the same twice is one file. */
  async put(content: string): Promise<Digest> {
    const digest = digestOf(content);
    const path = this.#pathOf(digest);
    const present = await stat(path).catch(() => undefined);
    if (present === undefined) await writeFileDurably(path, content);
    return digest;
  }

  /**
   * Reads a blob and checks that it still is what its name says.
   * @throws when it is missing or damaged
   */
  async get(digest: Digest): Promise<string> {
    const path = this.#pathOf(digest);
    const content = await readFile(path);
    if (digestOf(content) !== digest) throw new Error(`blob ${path} is damaged: remove it and build its image again`);
    return content.toString();
  }

  #pathOf(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }
}
