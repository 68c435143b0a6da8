/** Rules of a shard's request that span more than one field. */
import type * as z from "zod";
import { describeLayerPlaceFault, describeWorkingDirectoryFault, requestBounds } from "./job-request-rules.ts";
import { findPathConflicts } from "./paths/conflicts.ts";

/** Bounds of one request that no operator needs to move. */
export const shardBounds = {
  shards: 64,
  items: 50_000,
  itemCharacters: 4096,
  retries: 10,
  suiteCharacters: 128,
} as const;

/** The fields that the rules look at. */
interface ShardFields {
  readonly layers: readonly { readonly at: string }[];
  readonly files: readonly { readonly path: string }[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory?: string | undefined;
  readonly setup?: readonly string[] | undefined;
  readonly discover?: readonly string[] | undefined;
  readonly items?: readonly string[] | undefined;
  readonly command: readonly string[];
  readonly strategy: string;
  readonly retryFailed: number;
}

/** Room for the words that a command has beside its items, and for what is put into its environment. */
const COMMAND_BYTES = requestBounds.argumentBytes / 2;

/** Checks what single fields cannot say. */
export function checkShard(request: ShardFields, context: z.core.$RefinementCtx): void {
  const fault = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: "custom", path, message, input: request });
  for (const { index, message } of findPathConflicts(request.files.map(({ path }) => path))) {
    fault(["files", index, "path"], message);
  }
  for (const [index, { at }] of request.layers.entries()) {
    const message = describeLayerPlaceFault(at, "writable");
    if (message !== undefined) fault(["layers", index, "at"], message);
  }
  const { workingDirectory, files } = request;
  if (workingDirectory !== undefined) {
    const message = describeWorkingDirectoryFault(workingDirectory, { language: undefined, files, rootfs: "writable" });
    if (message !== undefined) fault(["workingDirectory"], message);
  }
  checkItems(request, fault);
  checkBytes(request, fault);
}

type Fault = (path: (string | number)[], message: string) => void;

function checkItems({ discover, items, command, strategy, retryFailed }: ShardFields, fault: Fault): void {
  const places = command.filter((word) => word === "{items}").length;
  const inside = command.findIndex((word) => word !== "{items}" && word.includes("{items}"));
  if (inside >= 0) fault(["command", inside], "has {items} within a word: it has to be a word by itself");
  if (places > 1) fault(["command"], "has {items} more than once");
  if (discover !== undefined && items !== undefined) fault(["items"], "cannot be given together with discover");
  const hasItems = discover !== undefined || items !== undefined;
  if (hasItems && places === 0 && inside < 0)
    fault(["command"], "has no word {items}: without it, each shard would run all of them");
  if (hasItems) return;
  if (places > 0) fault(["items"], "is missing: give items, or discover, for {items} in the command");
  if (!command.some((word) => word.includes("{shard}"))) {
    fault(["command"], "has neither {items} nor {shard}: each shard would run everything");
  }
  if (strategy === "dynamic") fault(["strategy"], "needs items, or discover: there is nothing that shards could take");
  if (retryFailed > 0) fault(["retryFailed"], "needs items, or discover: there is nothing that could be run again");
}

/** execve(2) must be able to take it, with an item as long as any. */
function checkBytes({ setup, discover, command, environment }: ShardFields, fault: Fault): void {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  if (bytesOfArguments(variables) > COMMAND_BYTES / 2) {
    fault(["environment"], `is larger than ${COMMAND_BYTES / 2} bytes`);
  }
  for (const [name, words] of Object.entries({ setup, discover, command })) {
    if (words === undefined || bytesOfArguments(words) <= COMMAND_BYTES / 2) continue;
    fault([name], `is larger than ${COMMAND_BYTES / 2} bytes`);
  }
}

/** What words take in an argv or an environment, in bytes: a NUL and a pointer each included. */
export function bytesOfArguments(words: readonly string[]): number {
  return words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1 + 8, 0);
}
