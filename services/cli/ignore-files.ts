import { readFile } from "node:fs/promises";
import { join } from "node:path";
import ignore, { type Ignore } from "ignore";
import { isMissing } from "./missing.ts";

/** In the order in which their rules count: `!node_modules/` in ours sends what git does not keep. */
const FILE_NAMES = [".gitignore", ".longshoreignore"] as const;

/** Git's own; a file where the checkout is a worktree. */
const GIT = /(?:^|\/)\.git\/?$/;

interface Rules {
  /** Of the directory that has them, with a slash at its end; empty for the topmost. */
  readonly prefix: string;
  readonly rules: Ignore;
}

/**
 * What is not to be sent of a checkout: `.git`, and what `.gitignore` and `.longshoreignore` name, in any directory, by
 * git's rules (https://git-scm.com/docs/gitignore). Whether git tracks a file all the same does not matter.
 */
export class IgnoreFiles {
  static readonly none = new IgnoreFiles([]);

  /** The deepest last. */
  readonly #levels: readonly Rules[];

  private constructor(levels: readonly Rules[]) {
    this.#levels = levels;
  }

  /** With those of a directory that is not ignored; `prefix` is its path below the topmost one. */
  async within(directory: string, prefix: string): Promise<IgnoreFiles> {
    const texts = await Promise.all(FILE_NAMES.map((name) => readText(join(directory, name))));
    // One that ignores this very directory was overruled, and would ignore all that is in it.
    const levels = this.#levels.filter(
      (level) => prefix === "" || !level.rules.ignores(prefix.slice(level.prefix.length)),
    );
    if (texts.every((text) => text === "")) return new IgnoreFiles(levels);
    return new IgnoreFiles([...levels, { prefix, rules: ignore({ ignorecase: false }).add(texts.join("\n")) }]);
  }

  /** Whether a path is ignored whose directories are not; that of a directory has a slash at its end. */
  has(path: string): boolean {
    if (GIT.test(path)) return true;
    for (const { prefix, rules } of this.#levels.toReversed()) {
      const { ignored, unignored } = rules.test(path.slice(prefix.length));
      if (ignored || unignored) return ignored;
    }
    return false;
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}
