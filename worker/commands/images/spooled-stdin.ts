import { createWriteStream } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/** A file that goes when it is disposed of. */
export interface SpooledFile extends AsyncDisposable {
  readonly path: string;
}

/**
 * Puts all of our stdin into a file below TMPDIR: archives of images are read in another order than they come in.
 * @throws the reason of `signal`
 */
export async function spoolStdin(signal: AbortSignal): Promise<SpooledFile> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await mkdtempDisposable(join(tmpdir(), "longshore-stdin-")));
  const path = join(directory.path, "stdin");
  await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }), { signal });
  const spooled = stack.move();
  return { path, [Symbol.asyncDispose]: () => spooled.disposeAsync() };
}
