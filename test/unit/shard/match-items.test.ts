import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ItemMatcher } from "../../../worker/jobs/shard/report/match-items.ts";
import { fullNamesOf, isEnding, spellingsOf, testId } from "../../../worker/jobs/shard/report/test-name.ts";
import { makeTest } from "./sample.ts";

describe("a test belongs to an item", () => {
  it.each([
    ["pytest's file", "tests/test_a.py", { classname: "tests.test_a.TestX", name: "test_y" }],
    ["pytest's test", "tests/test_a.py::TestX::test_y", { classname: "tests.test_a.TestX", name: "test_y" }],
    [
      "pytest's test with any parameters",
      "tests/test_a.py::test_y",
      { classname: "tests.test_a", name: "test_y[1.5-a/b]" },
    ],
    [
      "pytest's test with these",
      "tests/test_a.py::test_y[1.5-a/b]",
      { classname: "tests.test_a", name: "test_y[1.5-a/b]" },
    ],
    ["pytest's file that cannot be read", "tests/test_a.py", { classname: "", name: "tests.test_a" }],
    ["pytest's directory", "./tests/", { classname: "tests.deep.test_a", name: "test_y" }],
    ["vitest's file", "test/a.test.ts", { classname: "test/a.test.ts", name: "adds > twice" }],
    ["vitest's test", "test/a.test.ts > adds > twice", { classname: "test/a.test.ts", name: "adds > twice" }],
    ["node's file", "test/a.test.js", { classname: "test", name: "adds", file: "/work/test/a.test.js" }],
    ["jest-junit's file", "src/a.test.js", { classname: "sum adds", name: "sum adds", file: "src/a.test.js" }],
    ["Playwright's file", "e2e/login.spec.ts", { classname: "login.spec.ts", name: "login › works" }],
    ["Go's package", "./pkg/sub", { classname: "example.com/module/pkg/sub", name: "TestAdd/twice" }],
    [
      "Go's package by its whole name",
      "example.com/module/pkg",
      { suite: "example.com/module/pkg", classname: "pkg", name: "TestAdd" },
    ],
    ["Go's test", "TestAdd", { classname: "example.com/module/pkg", name: "TestAdd" }],
    ["GoogleTest's test", "FooTest.DoesX", { classname: "FooTest", name: "DoesX" }],
    ["Surefire's class", "FooTest", { classname: "org.example.FooTest", name: "bar" }],
    ["Surefire's test", "FooTest#bar", { classname: "org.example.FooTest", name: "bar" }],
    ["Java's file", "src/test/java/org/example/FooTest.java", { classname: "org.example.FooTest", name: "bar" }],
    ["RSpec's file", "./spec/a_spec.rb", { classname: "spec.a_spec", name: "adds", file: "./spec/a_spec.rb" }],
  ])("by %s", (_, item, test) => {
    expect(new ItemMatcher([item, "other/thing.py"]).itemsOf(makeTest(test))).toEqual([item]);
  });
});

describe("a test does not belong to an item", () => {
  it.each([
    ["with the beginning of its name", "tests/test_a.py::test_y", { classname: "tests.test_a", name: "test_yes" }],
    ["with other parameters", "tests/test_a.py::test_y[1]", { classname: "tests.test_a", name: "test_y[2]" }],
    ["of another test in its class", "FooTest.DoesX", { classname: "FooTest", name: "DoesY" }],
    ["of a file beside its own", "test/a.test.ts", { classname: "test/a.test.tsx", name: "adds" }],
    ["of a deeper directory", "api/tests/test_a.py", { classname: "tests.test_b", name: "test_y" }],
  ])("%s", (_, item, test) => {
    expect(new ItemMatcher([item]).itemsOf(makeTest(test))).toEqual([]);
  });

  it("when another one fits better, from another place on", () => {
    const matcher = new ItemMatcher(["tests/test_a.py", "api/tests/test_a.py", "tests"]);
    expect(matcher.itemsOf(makeTest({ classname: "api.tests.test_a" }))).toEqual(["api/tests/test_a.py"]);
    expect(matcher.itemsOf(makeTest({ classname: "tests.test_a" }))).toEqual(["tests", "tests/test_a.py"]);
  });
});

describe("items of pytest", () => {
  it("have the tests that are reported for them, whatever they are called", () => {
    const word = fc.stringMatching(/^[a-z_]{1,8}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), word, (path, name) => {
        const item = `${path.join("/")}.py::${name}`;
        const test = makeTest({ classname: path.join("."), name });
        expect(new ItemMatcher([item]).itemsOf(test)).toEqual([item]);
      }),
    );
  });
});

describe("items and tests of any names", () => {
  // Few words, one of which is an ending, so that much of it is the same, and begins and ends alike.
  const path = (separator: string) =>
    fc.array(fc.constantFrom("a", "b", "py"), { minLength: 1, maxLength: 5 }).map((words) => words.join(separator));
  const item = fc.tuple(path("/"), fc.constantFrom("", ".py", ".py::a")).map(([words, ending]) => words + ending);
  const test = fc
    .record({ file: fc.option(item), classname: path("."), suite: path(" > "), name: path(".") })
    .map((names) => makeTest(names));

  it("belong together as the rule says", () => {
    fc.assert(
      fc.property(fc.uniqueArray(item, { minLength: 1, maxLength: 6 }), test, (items, tested) => {
        expect(new ItemMatcher(items).itemsOf(tested).toSorted()).toEqual(byTheRule(items, tested).toSorted());
      }),
      { numRuns: 500 },
    );
  });
});

/** The rule as it reads: every end of every item, tried at every place of every name. */
function byTheRule(items: readonly string[], test: ReturnType<typeof makeTest>): readonly string[] {
  const names = fullNamesOf(test);
  const places = names.flatMap((name) => name.map((_, begin) => matchesAt(name, begin, items, 0)));
  const whole = longestOf(places);
  return whole.length > 0 ? whole : longestOf(names.map((name) => matchesAt(name, 0, items, 1)));
}

interface Found {
  readonly item: string;
  readonly length: number;
}

/** @param from 0: items as a whole; 1: their ends, of two components at least */
function matchesAt(name: readonly string[], begin: number, items: readonly string[], from: 0 | 1): Found[] {
  const spelled = items.flatMap((item) => spellingsOf(item).map((spelling) => ({ item, spelling })));
  return spelled.flatMap(({ item, spelling: { components, form } }) => {
    const ends = from === 0 ? [components] : components.slice(1, -1).map((_, index) => components.slice(index + 1));
    return ends.flatMap((end) => {
      const isThere = end.every((component, index) => component === name[begin + index]);
      const isAnother = form === "bare" && isEnding(name[begin + end.length]);
      return isThere && !isAnother ? [{ item, length: end.length }] : [];
    });
  });
}

function longestOf(places: readonly (readonly Found[])[]): string[] {
  const lengthOf = (found: readonly Found[]) => Math.max(0, ...found.map(({ length }) => length));
  const best = places.reduce<readonly Found[]>((a, b) => (lengthOf(b) > lengthOf(a) ? b : a), []);
  return [...new Set(best.map(({ item }) => item))];
}

describe("names that are all alike", () => {
  it("are looked through once each, however many places of theirs an item could begin at", () => {
    const long = Array.from({ length: 32 }, () => "a".repeat(60)).join("/");
    const matcher = new ItemMatcher(Array.from({ length: 2000 }, (_, index) => `${long}/${index}`));
    const names = { file: `${long}/x.py`, classname: long, suite: `x/${long}`, name: long };
    const tests = Array.from({ length: 2000 }, (_, index) => makeTest({ ...names, name: `${long}/x${index}` }));
    expect(tests.flatMap((test) => matcher.itemsOf(test))).toEqual([]);
  });
});

describe("names of thousands of components", () => {
  it("neither fill the memory nor keep others from being matched", () => {
    const long = "a.".repeat(2000);
    const hostile = Array.from({ length: 1000 }, (_, index) => `${long}${index}`);
    const matcher = new ItemMatcher([...hostile, "src/e2e/login.spec.ts"]);
    expect(matcher.itemsOf(makeTest({ classname: long, name: long }))).toEqual([]);
    expect(matcher.itemsOf(makeTest({ classname: "src.e2e.login", name: "works" }))).toEqual([]);
    expect(matcher.itemsOf(makeTest({ file: "src/e2e/login.spec.ts" }))).toEqual(["src/e2e/login.spec.ts"]);
  });
});

describe("items that are spelled alike", () => {
  it("are not all listed by every test of theirs", () => {
    // In binary, with two separators for digits: all of them are `a` and `b`.
    const separators = Array.from({ length: 5000 }, (_, index) =>
      index.toString(2).replaceAll("0", ".").replaceAll("1", "/"),
    );
    const matcher = new ItemMatcher(separators.map((separator) => `a${separator}b`));
    expect(matcher.itemsOf(makeTest({ classname: "a.b", name: "works" }))).toHaveLength(64);
  });
});

describe("a test's id", () => {
  it.each([
    ["tests.test_a.TestX::test_y", { classname: "tests.test_a.TestX", name: "test_y" }],
    ["tests.test_a::test_y", { classname: "tests.test_a", name: "test_y", file: "tests/test_a.py" }],
    ["test/a.test.ts::adds > twice", { suite: "test/a.test.ts", classname: "test/a.test.ts", name: "adds > twice" }],
    ["/work/a.test.js::numbers::adds", { suite: "numbers", classname: "test", name: "adds", file: "/work/a.test.js" }],
    ["src/a.test.js::sum adds", { suite: "sum", classname: "sum adds", name: "sum adds", file: "src/a.test.js" }],
    ["sum::sum adds", { suite: "sum", classname: "sum adds", name: "sum adds" }],
  ])("is %s", (id, test) => {
    expect(testId(makeTest(test))).toBe(id);
  });
});
