/** What a shard executes: the request's command with its items, its number, and the names by which tools know it. */
import { bytesOfArguments } from "../../../shared/shard-request-rules.ts";
import { requestBounds } from "../../../shared/job-request-rules.ts";
import { ITEMS } from "../../../shared/shard-request.ts";

/** Which shard of how many. */
export interface ShardPlace {
  /** From 1. */
  readonly shard: number;
  readonly shards: number;
}

/**
 * The argv of a shard: a word `{items}` becomes the items, an argument each; `{shard}` and `{shards}` within a word become
 * numbers. Items stay as they are, whatever they look like.
 */
export function commandFor(
  words: readonly string[],
  { shard, shards }: ShardPlace,
  items: readonly string[],
): readonly [string, ...string[]] {
  const [first = "", ...rest] = words.flatMap((word) =>
    word === ITEMS ? items : word.replaceAll("{shards}", String(shards)).replaceAll("{shard}", String(shard)),
  );
  return [first, ...rest];
}

/**
 * The variables by which tools find out which shard they are; some count from 0, and some from 1.
 * @param splitting `by itself`: also those on which tools act without being asked, and would leave out items otherwise
 */
export function variablesFor(
  { shard, shards }: ShardPlace,
  splitting: "by items" | "by itself",
): Record<string, string> {
  const [fromOne, fromZero, total] = [String(shard), String(shard - 1), String(shards)];
  const variables = {
    LONGSHORE_SHARD: fromOne,
    LONGSHORE_SHARDS: total,
    // GitLab
    CI_NODE_INDEX: fromOne,
    CI_NODE_TOTAL: total,
    // CircleCI
    CIRCLE_NODE_INDEX: fromZero,
    CIRCLE_NODE_TOTAL: total,
    // Buildkite
    BUILDKITE_PARALLEL_JOB: fromZero,
    BUILDKITE_PARALLEL_JOB_COUNT: total,
  };
  if (splitting === "by items") return variables;
  return {
    ...variables,
    // GoogleTest
    GTEST_SHARD_INDEX: fromZero,
    GTEST_TOTAL_SHARDS: total,
    // Bazel
    TEST_SHARD_INDEX: fromZero,
    TEST_TOTAL_SHARDS: total,
  };
}

/** Divides items into as few lists as have room in a command line each, in their order, as xargs does. */
export function fitCommands(words: readonly string[], items: readonly string[]): string[][] {
  const room = requestBounds.argumentBytes - bytesOfArguments(words);
  const commands: string[][] = [];
  let bytes = Infinity;
  for (const item of items) {
    const itemBytes = bytesOfArguments([item]);
    bytes += itemBytes;
    if (bytes > room) {
      commands.push([]);
      bytes = itemBytes;
    }
    commands.at(-1)?.push(item);
  }
  return commands;
}
