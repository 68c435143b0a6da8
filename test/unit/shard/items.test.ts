import { describe, expect, it } from "vitest";
import { readItems } from "../../../worker/jobs/shard/discover.ts";

describe("a list of items", () => {
  it("ends at the first empty line, behind which pytest says how many there are", () => {
    const text = "tests/test_a.py::test_1\ntests/test_a.py::test_2[a b]\n\n2 tests collected in 0.01s\n";
    const items = ["tests/test_a.py::test_1", "tests/test_a.py::test_2[a b]"];
    expect(readItems(text)).toEqual({ items, ignoredLines: 1 });
  });

  it("may have white space around its lines, and no end", () => {
    expect(readItems("  a \r\nb")).toEqual({ items: ["a", "b"], ignoredLines: 0 });
  });

  it("has nothing before an empty line, when that is the first", () => {
    expect(readItems("\nno tests ran in 0.01s\n")).toEqual({ items: [], ignoredLines: 1 });
  });

  it("has nothing twice", () => {
    expect(readItems("a\nb\na\n").items).toEqual(["a", "b"]);
  });

  it.each(["", "\n", " \n \r\n"])("is empty when there is nothing but white space: %j", (text) => {
    expect(readItems(text)).toEqual({ items: [], ignoredLines: 0 });
  });
});
