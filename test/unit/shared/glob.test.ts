import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { advance, canMatchBelow, type Candidates, isMatch, parsePattern, unite } from "../../../shared/paths/glob.ts";

/** The candidates of a pattern with a wildcard. */
function glob(text: string): Candidates {
  const pattern = parsePattern(text);
  if (pattern.kind !== "glob") throw new Error(`${text} is a ${pattern.kind}`);
  return pattern.candidates;
}

function matches(pattern: string, path: string, work = { steps: 0 }): boolean {
  return isMatch(path.split("/").reduce((left, name) => advance(left, name, work), glob(pattern)));
}

describe("a pattern", () => {
  test.each([
    ["*", "a", true],
    ["*", ".hidden", true],
    ["*", "a/b", false],
    ["a*", "a", true],
    ["*.txt", "a.txt", true],
    ["*a*b", "xaybzb", true],
    ["*a*b", "xaybz", false],
    ["a**c", "abc", true],
    ["?", "💾", true],
    ["?", "ab", false],
    ["a?", "a", false],
    ["[abc]x", "bx", true],
    ["[a-c]", "d", false],
    ["[!a-c]", "d", true],
    ["[!a-c]", "b", false],
    ["[]a]", "]", true],
    ["[!]a]", "]", false],
    ["[a-]", "-", true],
    ["[-a]", "-", true],
    ["[*]", "*", true],
    ["[*]", "a", false],
    ["[[]x", "[x", true],
    ["[{]a,b}", "{a,b}", true],
    ["[(]*", "(1)", true],
    ["*\\", "a\\", true],
    ["*\n", "a\n", true],
    ["[α-ω]", "λ", true],
    ["**", "a", true],
    ["**", "a/b/c", true],
    ["a/**", "a", false],
    ["a/**", "a/b/c", true],
    ["**/a", "a", true],
    ["**/a", "b/c/a", true],
    ["**/**/a", "b/a", true],
    ["a/**/b", "a/b", true],
    ["a/**/b", "a/x/y/b", true],
    ["a/**/b", "a/x/y", false],
    ["**/a/**/a", "a/a", true],
    ["**/a/**/a", "a/b", false],
  ])("%j on %j: %j", (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });

  test("without a wildcard is a path", () => {
    expect(parsePattern("a/b}(c)")).toEqual({ kind: "path", path: "a/b}(c)" });
  });

  test("tells whether there can be a match below a directory", () => {
    const work = { steps: 0 };
    const start = unite([glob("out/*.xml"), glob("a/**/b*")]);
    expect(canMatchBelow(advance(start, "out", work))).toBe(true);
    expect(canMatchBelow(advance(start, "in", work))).toBe(false);
    expect(canMatchBelow(advance(advance(start, "out", work), "a.xml", work))).toBe(false);
    expect(canMatchBelow(advance(advance(start, "a", work), "b", work))).toBe(true);
  });
});

/** A pattern by the letter of its grammar: every way to divide the path is tried. */
function matchesByDefinition(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === "**") {
    if (rest.length === 0) return path.length > 0;
    return matchesByDefinition(rest, path) || (path.length > 0 && matchesByDefinition(pattern, path.slice(1)));
  }
  const [name, ...below] = path;
  return name !== undefined && matchesNameByDefinition(first, name) && matchesByDefinition(rest, below);
}

function matchesNameByDefinition(pattern: string, name: string): boolean {
  const set = /^\[(!?)(.)(?:-(.))?\]/.exec(pattern);
  if (pattern === "") return name === "";
  if (pattern.startsWith("*")) {
    const rest = pattern.slice(1);
    return Array.from({ length: name.length + 1 }).some((_, taken) => matchesNameByDefinition(rest, name.slice(taken)));
  }
  const character = name[0];
  if (character === undefined) return false;
  if (set !== null) {
    const [whole, excluded, from = "", to = from] = set;
    const isMember = from <= character && character <= to;
    return isMember !== (excluded === "!") && matchesNameByDefinition(pattern.slice(whole.length), name.slice(1));
  }
  return (
    (pattern.startsWith("?") || pattern.startsWith(character)) &&
    matchesNameByDefinition(pattern.slice(1), name.slice(1))
  );
}

test("matching agrees with the definition of the grammar", () => {
  const part = fc.constantFrom("a", "b", ".", "*", "?", "[a-b]", "[!a]", "[!b-c]");
  const component = fc.oneof(
    fc.constant("**"),
    fc
      .array(part, { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join(""))
      .filter((text) => text !== "." && text !== ".."),
  );
  const pattern = fc
    .array(component, { minLength: 1, maxLength: 5 })
    .filter((components) => components.some((text) => /[*?[]/.test(text)));
  const name = fc.string({ unit: fc.constantFrom("a", "b", "c", "."), minLength: 1, maxLength: 6 });
  const path = fc.array(name, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(pattern, path, (components, names) => {
      expect(matches(components.join("/"), names.join("/"))).toBe(matchesByDefinition(components, names));
    }),
    { numRuns: 3000 },
  );
});

describe("the work of matching is bounded", () => {
  test.each([
    ["stars that all could take more", "*a".repeat(10) + "*b", "a".repeat(60)],
    ["as many stars as fit", "*a".repeat(126) + "*b", "a".repeat(255)],
    ["directories that all could take more", "**/a/".repeat(31) + "b*", "a/".repeat(63) + "a"],
    ["both", "**/*a*a*b/".repeat(31) + "b*", "aaaaaaaa/".repeat(63) + "a"],
  ])("by pattern times path: %s", (_, pattern, path) => {
    const work = { steps: 0 };
    expect(matches(pattern, path, work)).toBe(false);
    expect(work.steps).toBeLessThanOrEqual(pattern.length * path.length);
  });
});
