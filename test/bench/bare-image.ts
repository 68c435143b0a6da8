import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StoredImage } from "../../worker/images/store.ts";
import { cpuTimeMs } from "./cpu-time.ts";

/** What programs took that xargs has started. */
export interface BareRuns {
  readonly seconds: number;
  /** Of xargs and its programs. */
  readonly cpuTimeMs: number;
}

/**
 * xargs sees what it starts: the files of the image under its own root, as a container does, in a mount namespace that
 * is gone with it. It starts a program as fast as can be: all else is done once.
 *
 * $0: where to mount, $1: layers, topmost first, the rest: arguments of xargs
 */
const SCRIPT = `
mount -t overlay overlay -o "ro,lowerdir=$1" "$0"
mount --bind /dev "$0/dev"
root=$0
shift
exec chroot --userspec=1000:1000 "$root" xargs "$@"`;

/**
 * An image's files without a container around those who use them: the same interpreter, with the same modules to look
 * through, as in one. That of the host is another, and has whatever its packages hook into each start.
 */
export class BareImage {
  readonly #root: string;
  readonly #layers: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(root: string, layers: string, environment: NodeJS.ProcessEnv) {
    this.#root = root;
    this.#layers = layers;
    this.#environment = environment;
  }

  /** @param files to be in /work, by name; put below `directory`, which outlives this */
  static async open(
    image: StoredImage,
    directory: string,
    files: Readonly<Record<string, string>>,
  ): Promise<BareImage> {
    const base = await mkdtemp(join(directory, "bare-"));
    const [root, layer] = [join(base, "root"), join(base, "layer")];
    await mkdir(root);
    for (const name of ["dev", "work"]) await mkdir(join(layer, name), { recursive: true });
    for (const [name, content] of Object.entries(files)) await writeFile(join(layer, "work", name), content);
    const layers = [layer, ...image.lowerDirs.toReversed()].join(":");
    const variables = image.config.config?.Env ?? [];
    return new BareImage(root, layers, Object.fromEntries(variables.map((entry) => entry.split(/=(.*)/s))));
  }

  /** Runs a command `count` times, `parallel` at once. @throws {Error} when one of them fails */
  async run(command: readonly string[], count: number, parallel: number): Promise<BareRuns> {
    const [before, began] = [cpuTimeMs(), performance.now()];
    const args = ["--mount", "sh", "-euc", SCRIPT, this.#root, this.#layers, "-P", String(parallel), "-I", "{}"];
    const child = spawn("unshare", [...args, ...command], {
      stdio: ["pipe", "ignore", "inherit"],
      env: this.#environment,
    });
    child.stdin.end("{}\n".repeat(count));
    const [exitCode] = await once(child, "close");
    if (exitCode !== 0) throw new Error(`xargs ended with exit code ${exitCode}`);
    return { seconds: (performance.now() - began) / 1000, cpuTimeMs: cpuTimeMs() - before };
  }
}
