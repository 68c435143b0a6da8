import type { Redis } from "ioredis";

/** What a Redis has done, by its own account (INFO): since its start, or of one job. */
export interface RedisAccount {
  /** Commands, those that scripts call included. */
  readonly commands: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cpuTimeMs: number;
  /** What its data takes now. */
  readonly memoryBytes: number;
}

export async function accountOf(redis: Redis): Promise<RedisAccount> {
  const [general, commands] = await Promise.all([redis.info(), redis.info("commandstats")]);
  const calls = [...commands.matchAll(/^cmdstat_\S+:calls=(\d+)/gm)].map(([, count]) => Number(count));
  return {
    commands: calls.reduce((sum, count) => sum + count, 0),
    bytesIn: fieldOf(general, "total_net_input_bytes"),
    bytesOut: fieldOf(general, "total_net_output_bytes"),
    cpuTimeMs: 1000 * (fieldOf(general, "used_cpu_user") + fieldOf(general, "used_cpu_sys")),
    memoryBytes: fieldOf(general, "used_memory_dataset"),
  };
}

/** What was done in between, divided by the number of jobs. */
export function difference(after: RedisAccount, before: RedisAccount, jobs: number): RedisAccount {
  return {
    commands: (after.commands - before.commands) / jobs,
    bytesIn: (after.bytesIn - before.bytesIn) / jobs,
    bytesOut: (after.bytesOut - before.bytesOut) / jobs,
    cpuTimeMs: (after.cpuTimeMs - before.cpuTimeMs) / jobs,
    memoryBytes: (after.memoryBytes - before.memoryBytes) / jobs,
  };
}

function fieldOf(information: string, name: string): number {
  const value = new RegExp(`^${name}:(\\S+)`, "m").exec(information)?.[1];
  if (value === undefined) throw new Error(`Redis does not say its ${name}`);
  return Number(value);
}
