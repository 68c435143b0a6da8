import { writeSync } from "node:fs";
import { FCNTL, MFD } from "./constants.ts";
import { cString, mustCall } from "./libc.ts";

/** Makes an empty file in memory (memfd_create(2)), close-on-exec and sealable; returns its descriptor. */
export function openMemoryFile(name: string): number {
  return mustCall("memfd_create", cString(name), MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING);
}

/** A file in memory that holds `content` and that nobody can change any more; returns its descriptor, at offset 0. */
export function openSealedFile(name: string, content: Uint8Array): number {
  const descriptor = openMemoryFile(name);
  for (let written = 0; written < content.byteLength;) {
    written += writeSync(descriptor, content, written, content.byteLength - written, written);
  }
  const { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE } = FCNTL;
  mustCall("fcntl", descriptor, FCNTL.F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return descriptor;
}
