import { mustCall } from "./libc.ts";

const STATFS_BYTES = 120;

/** `f_flags` of struct statfs, and the flag of it that statvfs(3) calls ST_NOSUID. */
const [FLAGS_OFFSET, ST_NOSUID] = [80, 2];

/** Blocks and inodes that are left on the file system of a descriptor (fstatfs(2)). */
export function fstatfs(descriptor: number): { readonly freeBlocks: number; readonly freeInodes: number } {
  const statistics = Buffer.alloc(STATFS_BYTES); // struct statfs: type, bsize, blocks, bfree, bavail, files, ffree
  mustCall("fstatfs", descriptor, statistics);
  return { freeBlocks: Number(statistics.readBigInt64LE(24)), freeInodes: Number(statistics.readBigInt64LE(48)) };
}

/** Whether set-user-id bits have no effect on the mount that a descriptor is on. */
export function isMountedNosuid(descriptor: number): boolean {
  const statistics = Buffer.alloc(STATFS_BYTES);
  mustCall("fstatfs", descriptor, statistics);
  return (statistics.readUInt32LE(FLAGS_OFFSET) & ST_NOSUID) !== 0;
}
