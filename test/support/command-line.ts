/** The `longshore` command, with an installation of its own to talk to and a directory to be called in. */
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Installation, startInstallation } from "./installation.ts";
import { type CommandOptions, type Finished, runCommand } from "./longshore.ts";

export interface CommandLine extends AsyncDisposable {
  readonly installation: Installation;
  readonly directory: string;
  /** Writes files below the directory, by their paths. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
  /** Runs the command in the directory. */
  longshore(words: readonly string[], options?: CommandOptions): Promise<Finished>;
}

/** Starts an installation that has these images; `await using` ends all of it. */
export async function startCommandLine(images: readonly string[]): Promise<CommandLine> {
  await using parts = new AsyncDisposableStack();
  const installation = parts.use(await startInstallation(images, {}));
  const directory = parts.use(await mkdtempDisposable(join(tmpdir(), "longshore-command-line-")));
  const started = parts.move();
  return {
    installation,
    directory: directory.path,
    async write(files) {
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(directory.path, path)), { recursive: true });
        await writeFile(join(directory.path, path), content);
      }
    },
    longshore: (words, options = {}) =>
      runCommand(words, {
        directory: directory.path,
        ...options,
        environment: { LONGSHORE_URL: installation.api.url, ...options.environment },
      }),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
