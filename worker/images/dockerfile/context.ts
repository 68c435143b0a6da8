import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";
import type { Ignore } from "@balena/dockerignore";
import { type FileTree, resolveIn, type TreeEntry } from "../tree/file-tree.ts";
import { LayeredTree } from "../tree/layered-tree.ts";

// The package's types say that it is an ES module; it is not.
const ignore = createRequire(import.meta.url)("@balena/dockerignore") as () => Ignore;

/** The directory that a build takes files from, without what its .dockerignore leaves out. */
export class BuildContext implements FileTree, Disposable {
  readonly #tree: LayeredTree;
  readonly #ignored: Ignore;
  /** Whether a pattern takes something in again: then a directory that is left out may hold files that are not. */
  readonly #exceptions: "some" | "none";

  /**
   * @param directory the context
   * @param dockerfile path of the Dockerfile: a file of its name and `.dockerignore` comes before the context's own
   */
  constructor(directory: string, dockerfile: string) {
    this.#tree = new LayeredTree([directory]);
    const text = [`${dockerfile}.dockerignore`, join(directory, ".dockerignore")].find((path) => existsSync(path));
    const lines = text === undefined ? [] : readFileSync(text, "utf8").split("\n");
    this.#ignored = ignore().add(lines);
    this.#exceptions = lines.some((line) => line.startsWith("!")) ? "some" : "none";
  }

  lookUp(directory: string, name: string): TreeEntry | undefined {
    const entry = this.#tree.lookUp(directory, name);
    return entry !== undefined && this.#keeps(entry) ? entry : undefined;
  }

  list(directory: string): string[] {
    return this.#tree.list(directory).filter((name) => this.lookUp(directory, name) !== undefined);
  }

  open(path: string): number {
    return this.#tree.open(path);
  }

  [Symbol.dispose](): void {
    this.#tree[Symbol.dispose]();
  }

  /** Whether a path is there, and only left out. */
  leavesOut(path: string): boolean {
    const { path: resolved, entry } = resolveIn(this.#tree, path);
    return entry !== undefined && entry !== "root" && resolveIn(this, resolved).entry === undefined;
  }

  #keeps({ path, status }: TreeEntry): boolean {
    if (!this.#ignored.ignores(path)) return true;
    if (this.#exceptions === "none" || !status.isDirectory()) return false;
    return this.#tree.list(path).some((name) => this.lookUp(path, name) !== undefined);
  }
}
