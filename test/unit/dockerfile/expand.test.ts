import { describe, expect, it } from "vitest";
import { expand } from "../../../worker/images/dockerfile/expand.ts";

const values: Readonly<Record<string, string>> = { name: "value", empty: "", other: "x y" };
const word = (text: string) => expand(text, "\\", (name) => values[name]);

describe("variables in instructions", () => {
  it.each([
    ["$name-${name}", "value-value"],
    ["$missing.", "."],
    ["${missing:-a}${empty:-b}${name:-c}", "abvalue"],
    ["${missing-a}${empty-b}", "a"],
    ["${missing:+a}${empty:+b}${name:+c}", "c"],
    ["${empty+b}", "b"],
    ["${missing:-${empty:-$name}}", "value"],
    ["${missing:-'}'}", "}"],
    ["$name_x", ""],
    ["$1 $ a$", "$1 $ a$"],
    [`"$other" '$other' \\$other`, "x y $other $other"],
    [`"a\\"b\\c"`, `a"b\\c`],
    ["a\\ b\\", "a b\\"],
  ])("turn %s into %s", (text, expected) => {
    expect(word(text)).toBe(expected);
  });

  it("are errors where they make no sense", () => {
    expect(() => word("${name")).toThrow("} is missing in ${name");
    expect(() => word("${name%x}")).toThrow("${name%…} is not supported");
    expect(() => word("${missing:?say which}")).toThrow("missing is not set: say which");
    expect(() => word("'a")).toThrow("a closing ' is missing");
    expect(() => word('"a')).toThrow('a closing " is missing');
  });

  it("leave the quotes of a document alone", () => {
    const text = `it's "$name" \\$name \\n`;
    expect(expand(text, "\\", (name) => values[name], "kept")).toBe(`it's "value" $name \\n`);
  });
});
