import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandItems } from "../../../../services/cli/shard/items.ts";

let directory: Awaited<ReturnType<typeof mkdtempDisposable>>;

beforeAll(async () => {
  directory = await mkdtempDisposable(join(tmpdir(), "longshore-items-"));
  await mkdir(join(directory.path, "tests/deep"), { recursive: true });
  const files = [
    "tests/test_b.py",
    "tests/test_a.py",
    "tests/deep/test_c.py",
    "tests/data.py",
    "tests/test_ignored.py",
  ];
  for (const file of files) await writeFile(join(directory.path, file), "");
  await writeFile(join(directory.path, ".gitignore"), "test_ignored.py\n");
});
afterAll(() => directory.remove());

const expand = (...words: string[]) => expandItems(words, directory.path, { ignoreFiles: "honoured" });

describe("items of the command line", () => {
  it("are the files that a pattern matches, without ignored ones, in their order", async () => {
    expect(await expand("tests/**/test_*.py")).toEqual(["tests/deep/test_c.py", "tests/test_a.py", "tests/test_b.py"]);
  });

  it("are words that are no pattern, as they are", async () => {
    expect(await expand("./pkg/...", "FooTest#bar", "tests/missing.py")).toEqual([
      "./pkg/...",
      "FooTest#bar",
      "tests/missing.py",
    ]);
  });

  it("come once each, where they came first", async () => {
    expect(await expand("tests/test_b.py", "tests/test_*.py")).toEqual(["tests/test_b.py", "tests/test_a.py"]);
  });

  it("are an error where a pattern matches nothing", async () => {
    await expect(expand("spec/*_spec.rb")).rejects.toThrow(/^--items spec\/\*_spec\.rb matches no file of /);
  });
});
