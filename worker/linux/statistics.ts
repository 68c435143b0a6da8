import { mustCall } from "./libc.ts";

const STATFS_BYTES = 120;

/** Blocks and inodes that are left on the file system of a descriptor (fstatfs(2)). */
export function fstatfs(descriptor: number): { readonly freeBlocks: number; readonly freeInodes: number } {
  const statistics = Buffer.alloc(STATFS_BYTES); // struct statfs: type, bsize, blocks, bfree, bavail, files, ffree
  mustCall("fstatfs", descriptor, statistics);
  return { freeBlocks: Number(statistics.readBigInt64LE(24)), freeInodes: Number(statistics.readBigInt64LE(48)) };
}
