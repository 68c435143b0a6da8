import * as fc from "fast-check";
import { expect, test } from "vitest";
import { bytesOfArguments } from "../../../shared/shard-request-rules.ts";
import { requestBounds } from "../../../shared/job-request-rules.ts";
import { commandFor, fitCommands, variablesFor } from "../../../worker/jobs/shard/command.ts";

const place = { shard: 2, shards: 5 };

test("items become arguments of their own, whatever they look like", () => {
  const items = ["a b", "$(reboot)", "--version", "{shard}", "x'\"\\"];
  expect(commandFor(["pytest", "-q", "{items}", "--end"], place, items)).toEqual(["pytest", "-q", ...items, "--end"]);
});

test("numbers are put wherever a word has their names", () => {
  expect(commandFor(["run", "--shard={shard}/{shards}", "{shards}{shard}"], place, [])).toEqual([
    "run",
    "--shard=2/5",
    "52",
  ]);
});

test("variables count from where their tools do", () => {
  expect(variablesFor(place, "by items")).toEqual({
    LONGSHORE_SHARD: "2",
    LONGSHORE_SHARDS: "5",
    CI_NODE_INDEX: "2",
    CI_NODE_TOTAL: "5",
    CIRCLE_NODE_INDEX: "1",
    CIRCLE_NODE_TOTAL: "5",
    BUILDKITE_PARALLEL_JOB: "1",
    BUILDKITE_PARALLEL_JOB_COUNT: "5",
  });
});

test("what makes tools leave tests out is set only where they are to split by themselves", () => {
  expect(variablesFor(place, "by itself")).toMatchObject({ GTEST_SHARD_INDEX: "1", TEST_TOTAL_SHARDS: "5" });
  expect(Object.keys(variablesFor(place, "by items")).filter((name) => /^G?TEST_/.test(name))).toEqual([]);
});

test("items are divided into command lines that can be executed, in their order and each once", () => {
  const item = fc.string({ minLength: 1, maxLength: 4096, unit: "grapheme" });
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 200 }), (items) => {
      const words = ["pytest", "{items}"];
      const commands = fitCommands(words, items);
      expect(commands.flat()).toEqual(items);
      for (const command of commands) {
        expect(bytesOfArguments([...words, ...command])).toBeLessThanOrEqual(requestBounds.argumentBytes);
      }
    }),
  );
});

test("no more command lines are made than are needed", () => {
  const items = Array.from({ length: 5000 }, (_, index) => `tests/test_file.py::test_${index}`);
  const bytes = bytesOfArguments(items);
  expect(fitCommands(["pytest", "{items}"], items)).toHaveLength(
    Math.ceil(bytes / (requestBounds.argumentBytes - 100)),
  );
  expect(fitCommands(["pytest", "{items}"], [])).toEqual([]);
});
