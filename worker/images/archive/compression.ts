import { open } from "node:fs/promises";
import type { Compression } from "../oci.ts";

/** First bytes of what is compressed (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1). */
const MAGIC: readonly (readonly [Compression, Buffer])[] = [
  ["gzip", Buffer.from([0x1f, 0x8b])],
  ["zstd", Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

/** How a file is compressed, by its first bytes. */
export async function compressionOfFile(path: string): Promise<Compression> {
  await using file = await open(path, "r");
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
  const beginning = buffer.subarray(0, bytesRead);
  return MAGIC.find(([, magic]) => magic.equals(beginning.subarray(0, magic.length)))?.[0] ?? "none";
}
