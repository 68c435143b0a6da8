/**
 * The scripts of `shared/lua/`, as typed functions of a connection.
 *
 * A job changes its state in one place at a time because each change is one script: Redis runs it whole or not
 * at all, and nobody sees it half done.
 */
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";

const common = readScript("common");

const definitions = {
  accept: 4,
  confirm: 3,
  withdraw: 3,
  claim: 4,
  finish: 4,
  fail: 4,
  release: 4,
  cancel: 4,
  "fan-out": 2,
  suspend: 4,
  tell: 3,
  "begin-part": 2,
  "take-batch": 2,
  "stop-parts": 5,
  watch: 1,
  "append-events": 2,
  "blob-hold": 6,
  "blob-touch": 2,
  "blob-release": 5,
  "blob-expire": 4,
} as const satisfies Record<string, number>;

type ScriptName = keyof typeof definitions;
type Argument = string | number | Buffer;

/** Calls a script with its keys and then its arguments, as its head describes them. */
export type ScriptCaller = (name: ScriptName, ...parameters: readonly Argument[]) => Promise<unknown>;

/** Defines the scripts on a connection; each is sent once and then called by its digest (EVALSHA). */
export function defineScripts(redis: Redis): ScriptCaller {
  for (const [name, numberOfKeys] of Object.entries(definitions)) {
    redis.defineCommand(commandName(name), { numberOfKeys, lua: `${common}\n${readScript(name)}` });
  }
  return async (name, ...parameters) => {
    const command: unknown = Reflect.get(redis, commandName(name));
    if (typeof command !== "function") throw new Error(`the script ${name} is not defined on this connection`);
    return await (Reflect.apply(command, redis, parameters) as Promise<unknown>);
  };
}

/** Named apart from Redis's own commands, since they are defined on the same object. */
function commandName(script: string): string {
  return `longshore:${script}`;
}

function readScript(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
}
