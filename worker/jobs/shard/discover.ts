/** Finds out what there is to run: by a command of the request that prints it. */
import { isUtf8 } from "node:buffer";
import type { Discovery } from "../../../shared/shard-result.ts";
import { shardBounds } from "../../../shared/shard-request-rules.ts";
import type { OutputWatch } from "../../container/output-watch.ts";
import type { ContainerSpec, RunResult } from "../../container/spec.ts";
import type { UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import { containerResult, hasSucceeded } from "../result.ts";
import type { ShardContainers } from "./containers.ts";
import { runWatched } from "./run-watched.ts";
import { shortened } from "./shortened.ts";

/** What a list of items may take, in bytes. */
const LIST_BYTES = 4 * 1024 * 1024;

/**
 * Exit code of a test runner that has found no tests, and nothing wrong: pytest's `NO_TESTS_COLLECTED`, and that of Python's
 * unittest since 3.12. vitest, jest and `go list` exit with 0 when they have nothing to list. Others do with 1, as
 * `go test -list` and Playwright, which is what they exit with after an error, too: it is taken for one.
 */
const NO_TESTS_EXIT_CODE = 5;

export type Discovered =
  | { readonly kind: "discovered"; readonly items: readonly string[]; readonly discovery: Discovery }
  | { readonly kind: "not discovered"; readonly message: string; readonly discovery: Discovery }
  | UnfinishedOutcome;

/**
 * Runs the command that prints the items.
 * @param spec of a container that has the set-up
 * @param output is shown what it prints
 */
export async function discover(
  words: readonly string[],
  spec: ContainerSpec,
  { image }: ShardContainers,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
  output: OutputWatch,
): Promise<Discovered> {
  const [first = "", ...rest] = words;
  const command = { ...spec, command: [first, ...rest], streams: { keptBytes: LIST_BYTES } } as const;
  const labels = { stage: "build", language: undefined, image } as const;
  const result = await runWatched(command, labels, slot, context, signal, output);
  if (result.kind !== "ended") return result;
  const { items, ignoredLines } = readItems(Buffer.from(result.stdout.content).toString());
  const discovery = { ...containerResult(shortened(result)), ignoredLines };
  const fault = faultOf(result, items);
  if (fault === undefined) return { kind: "discovered", items, discovery };
  return { kind: "not discovered", message: `the items cannot be discovered: ${fault}`, discovery };
}

/**
 * The items of a list: lines up to the first empty one, without white space at their ends, none twice. What follows is
 * what the tool has to say about them, as pytest does.
 */
export function readItems(text: string): { readonly items: readonly string[]; readonly ignoredLines: number } {
  const lines = text.split("\n").map((line) => line.trim());
  const end = lines.indexOf("");
  const listed = end < 0 ? lines : lines.slice(0, end);
  const ignored = lines.slice(listed.length).filter((line) => line !== "");
  return { items: [...new Set(listed)], ignoredLines: ignored.length };
}

function faultOf(result: RunResult, items: readonly string[]): string | undefined {
  if (!hasSucceeded(result)) {
    const { outcome, exitCode, signal } = result;
    if (outcome === "exited" && exitCode === NO_TESTS_EXIT_CODE && items.length === 0) return undefined;
    if (outcome === "exited") return `exit code ${exitCode}: see discovery`;
    return outcome === "signaled" ? `ended by ${signal}` : outcome;
  }
  if (result.stdout.truncated) return `the list is larger than ${LIST_BYTES} bytes`;
  // What cannot be handed on as it is would be another file's name.
  if (!isUtf8(result.stdout.content)) return "the list is no UTF-8";
  if (items.length > shardBounds.items) return `there are ${items.length}, more than ${shardBounds.items}`;
  const long = items.find((item) => item.length > shardBounds.itemCharacters);
  if (long !== undefined)
    return `an item is longer than ${shardBounds.itemCharacters} characters: ${long.slice(0, 80)}…`;
  return items.some((item) => item.includes("\0")) ? "an item has a NUL in it" : undefined;
}
