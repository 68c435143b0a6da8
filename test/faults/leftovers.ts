/** What must not be left: in Redis when all jobs are finished, on the machine when all programs have ended. */
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createKeys, QUEUE_NAME } from "../../shared/keys.ts";
import type { FaultyInstallation } from "./machine/installation.ts";

/**
 * Keys that stay for as long as the queue is used: BullMQ's counters and settings, who holds which blob, and the names of
 * workers, of which the next to ask takes those out that are dead.
 */
const LASTING = /:jobs:(?:meta|events|id|pc)$|:workers$|:blobs:(?:secret|holds|charges|holders|held:.*)$/;

/** Directories of a worker's that are empty when no job runs. */
const EMPTY = ["outputs/*", "staging", "inputs/staging", "builds/staging", "images/staging"];

/** Jobs that BullMQ takes for being worked on. */
export async function countActive(redisUrl: string): Promise<number> {
  const redis = new Redis(redisUrl);
  try {
    return await redis.llen(`${createKeys("longshore").prefix}:${QUEUE_NAME}:active`);
  } finally {
    redis.disconnect();
  }
}

/** Things that jobs left in Redis, by name. To be asked for when no worker is alive. */
export async function findLeftKeys(redisUrl: string): Promise<string[]> {
  const redis = new Redis(redisUrl);
  try {
    const { prefix } = createKeys("longshore");
    const left: string[] = [];
    for await (const keys of redis.scanStream({ match: `${prefix}*` }) as AsyncIterable<string[]>) {
      for (const key of keys) {
        if (LASTING.test(key) || (await redis.ttl(key)) >= 0) continue;
        left.push(`redis key ${key} (${await redis.type(key)}) without an end`);
      }
    }
    return left;
  } finally {
    redis.disconnect();
  }
}

/** Things that workers left on the machine, by name. To be asked for when all programs have ended. */
export function findLeftThings({ directory, disk, memory, redis, workers }: FaultyInstallation): string[] {
  const cgroups = [redis.cgroup, ...workers.map(({ cgroup }) => cgroup)];
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const own = new Set([disk.path, memory.path]);
  return [
    ...cgroups.flatMap((cgroup) => cgroup.children().map((child) => `cgroup ${child}`)),
    ...cgroups.flatMap((cgroup) => cgroup.processes().map((pid) => `process ${pid} in ${cgroup.name}`)),
    ...processesThatName(directory).map((process) => `process ${process}`),
    ...mounts
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(directory) && !own.has(path))
      .map((path) => `mount ${path}`),
    ...workers.flatMap(({ data }) => [
      ...EMPTY.flatMap((pattern) => globSync(join(data.path, pattern)))
        .filter((path) => existsSync(path) && readdirSync(path).length > 0)
        .map((path) => `files in ${path}: ${readdirSync(path).join(", ")}`),
      ...globSync(join(data.path, "init-layer-*.*")).map((path) => `directory ${path}`),
    ]),
  ];
}

/** Processes that have a path in their command line or environment. */
function processesThatName(path: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return ["cmdline", "environ"].some((file) => readFileSync(`/proc/${pid}/${file}`, "latin1").includes(path));
    } catch {
      // It has ended, or is the kernel's.
      return false;
    }
  });
}
