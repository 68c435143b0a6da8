/**
 * Memory that no container's limit holds.
 *
 * The kernel counts nearly all that a program has as its container's, but not all: locks of files, what waits in the error
 * queues of sockets, their options. It gives a hundred megabytes to a gigabyte of that for each second that a program
 * spends in system calls, and when the machine has no more, it kills what it likes: Redis, or a worker. So before that,
 * containers are ended that may be at it: the longer they have been in the kernel, the sooner.
 */
import { freemem, totalmem } from "node:os";

const GIBIBYTE = 1024 ** 3;

/** What containers leave of this machine's memory, in bytes: a sixteenth, and no more than it takes to end them in time. */
export const memoryReserveBytes = (): number => Math.min(totalmem() / 16, GIBIBYTE);

/** A container that has been in the kernel for so long may not touch the reserve at all; others a part of it. */
const SUSPICIOUS_MS = 1000;

/** Whether the reserve is touched, so that nothing should be prepared for later. */
export function isMemoryShort(reserveBytes: number): boolean {
  return freemem() < reserveBytes;
}

/**
 * Whether a container has to go, because the machine runs out of memory and it may be the cause.
 * @param reserveBytes of the machine's memory
 * @param systemTimeMs what the container has spent in system calls; asked for when it matters
 * @param availableBytes to be had without swapping: MemAvailable of proc_meminfo(5)
 */
export function isAtOthersCost(
  reserveBytes: number,
  systemTimeMs: () => number,
  availableBytes: number = freemem(),
): boolean {
  if (availableBytes >= reserveBytes) return false;
  return availableBytes < reserveBytes * Math.min(1, systemTimeMs() / SUSPICIOUS_MS);
}
