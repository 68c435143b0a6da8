/** From the words of `longshore shard` to the body of `POST /v1/jobs`. What the API checks is left to the API. */
import type { Digest } from "../../../shared/digest.ts";
import {
  describeEnvironment,
  describeLayers,
  describeLimits,
  type LimitOptions,
  toNumber,
} from "../request-options.ts";

/** The options that become part of the request, as commander names them. */
export interface ShardOptions extends LimitOptions {
  readonly image: string;
  readonly at: string;
  readonly shards?: string;
  readonly strategy?: string;
  readonly setup?: string;
  readonly discover?: string;
  readonly report?: readonly string[];
  readonly retryFailed?: string;
  readonly failFast?: true;
  readonly suite?: string;
  readonly env?: readonly string[];
  readonly layer?: readonly string[];
  readonly output?: readonly string[];
  readonly priority?: string;
}

/** What was made ready for it. */
interface ShardInput {
  readonly checkout: Digest;
  /** Undefined where they are discovered, or the command splits by itself. */
  readonly items: readonly string[] | undefined;
  readonly command: readonly string[];
  /** Name for what is remembered, unless the options have one. */
  readonly suite: string;
}

/** Puts the request together. Throws for options that are not what they have to be. */
export function describeShardRequest(options: ShardOptions, input: ShardInput): Record<string, unknown> {
  const { at, setup, discover, shards, retryFailed } = options;
  return withoutUndefined({
    kind: "shard",
    image: options.image,
    layers: [{ blob: input.checkout, at }, ...describeLayers(options.layer)],
    workingDirectory: at,
    environment: describeEnvironment(options.env),
    setup: setup === undefined ? undefined : commandOf(setup, "--setup"),
    discover: discover === undefined ? undefined : commandOf(discover, "--discover"),
    items: input.items,
    command: input.command,
    shards: shards === undefined ? undefined : toNumber(shards, "--shards"),
    strategy: options.strategy,
    suite: options.suite ?? input.suite,
    reportFiles: options.report,
    retryFailed: retryFailed === undefined ? undefined : toNumber(retryFailed, "--retry-failed"),
    failFast: options.failFast,
    outputs: options.output,
    limits: describeLimits(options),
    priority: options.priority,
  });
}

/** As Dockerfiles have it: words in JSON (`["make", "deps"]`) are executed as they are, anything else by `sh -c`. */
function commandOf(text: string, option: string): string[] {
  if (!text.trimStart().startsWith("[")) return ["sh", "-c", text];
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch {
    words = undefined;
  }
  if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
  throw new Error(`${option} ${text} begins as a list does, and is no list of strings in JSON`);
}

function withoutUndefined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
