import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Garbage that is made before it is looked for, in bytes. A collection of the young generation takes about a millisecond,
 * and what comes by HTTP is garbage twice: as it was read, and as it was handed on.
 */
const BYTES_BETWEEN = 8 * 1024 * 1024;

type CollectGarbage = (options: { readonly type: "minor" }) => void;

let collect: CollectGarbage | undefined;

/**
 * Passes on pieces of a stream that are garbage afterwards, and has the garbage collected in time. By itself V8 lets some
 * 80 MiB of a download pile up, because buffers that the network filled lie outside of its heap, and do not count; with
 * this it is 20 MiB and what loading the HTTP client takes.
 */
export async function* collectingYoungGarbage(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  for await (const piece of pieces) {
    yield piece;
    bytes += piece.length;
    if (bytes < BYTES_BETWEEN) continue;
    bytes = 0;
    collect ??= exposeCollection();
    collect({ type: "minor" });
  }
}

/** What `--expose-gc` would make global for everyone; a context that begins after the flag has it. */
function exposeCollection(): CollectGarbage {
  setFlagsFromString("--expose-gc");
  const exposed = runInNewContext("gc") as CollectGarbage;
  setFlagsFromString("--no-expose-gc");
  return exposed;
}
