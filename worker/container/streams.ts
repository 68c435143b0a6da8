/** Descriptors for the streams of containers, see `StreamDescriptors`. */
import { closeSync, fchmodSync, openSync } from "node:fs";
import { openDetachedTree } from "../linux/mount.ts";
import { type PipeEnds, openPipeEnds } from "../linux/pipe.ts";
import type { ContainerSpec } from "./spec.ts";

/** Closes the descriptors that a spec has given to its run. To be called once: the numbers may be others' afterwards. */
export function closeGiven({ streams }: ContainerSpec): void {
  for (const descriptor of [streams?.stdin, streams?.stdout]) if (descriptor !== undefined) closeSync(descriptor);
}

/** A pipe between two containers; a run that is given an end closes it. */
export function openPipe(): PipeEnds {
  const pipe = openPipeEnds();
  // Programs open /dev/stdin and /dev/stdout anew, as the user that they are; nobody else has this pipe.
  fchmodSync(pipe.readEnd, 0o666);
  return pipe;
}

/**
 * Opens a file for a program to read without telling it where the file is: its directory is mounted nowhere, and is the
 * root of whatever /proc says of the descriptor.
 */
export function openDetached(directory: string, name: string): number {
  const tree = openDetachedTree(directory);
  try {
    return openSync(`/proc/self/fd/${tree}/${name}`, "r");
  } finally {
    closeSync(tree);
  }
}
