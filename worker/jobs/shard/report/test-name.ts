/**
 * Names of tests. Reports have them in parts, and items in the words of the program that runs them:
 *
 *   report: classname="tests.test_a.TestX" name="test_y[param]"      item: tests/test_a.py::TestX::test_y[param]
 *           classname="test/a.test.ts" name="adds > twice"                 test/a.test.ts
 *           classname="example.com/module/pkg" name="TestAdd"              ./pkg
 *           classname="org.example.FooTest" name="bar"                     FooTest#bar
 *
 * Both are compared by their components.
 */
import type { TestCase } from "./test-case.ts";

/** What stands between components: of paths, modules and classes, and of pytest, Surefire, vitest and Playwright. */
const SEPARATOR = /::| [>›] |[/\\.#]/;

/** Endings of source files. A list, since what is behind the last dot of `FooTest.does` is a test. */
const ENDINGS: ReadonlySet<string> = new Set(
  "bats c cc clj cpp cs cts cxx dart erl exs feature fs go groovy hs java jl js jsx kt lua mjs ml mts php pl py rb rs scala sh swift t ts tsx".split(
    " ",
  ),
);

/** An ending before anything within the file is named. */
const AT_ENDING = /\.(\w+)(?=::|$)/;

/** A class that says nothing: node:test has it with every test. */
const NO_CLASS: ReadonlySet<string> = new Set(["", "test"]);

/** More are none that a person has named: the rest is one component. */
const COMPONENTS_MAX = 32;

/** Splits a name. What is in brackets, as parameters are, is one component: it may contain anything. */
export function componentsOf(name: string): string[] {
  const bracket = name.indexOf("[");
  const plain = bracket < 0 ? name : name.slice(0, bracket);
  const parameters = bracket < 0 ? [] : [name.slice(bracket)];
  const components = plain.split(SEPARATOR).filter((component) => component !== "");
  const rest = components.splice(COMPONENTS_MAX).join("/");
  return [...components, ...(rest === "" ? [] : [rest]), ...parameters];
}

/** One way to write a name. */
export interface Spelling {
  readonly components: readonly string[];
  /** `bare`: without the ending of its file. */
  readonly form: "whole" | "bare";
}

/** As {@link componentsOf}, with and without the ending of its file: reports have modules or classes in its place. */
export function spellingsOf(item: string): Spelling[] {
  const whole: Spelling = { components: componentsOf(item), form: "whole" };
  if (!isEnding(AT_ENDING.exec(item)?.[1])) return [whole];
  return [whole, { components: componentsOf(item.replace(AT_ENDING, "")), form: "bare" }];
}

/** Whether this is what source files end in. */
export function isEnding(component: string | undefined): boolean {
  return component !== undefined && ENDINGS.has(component);
}

/** What a test may be called in full: by its file, its class, and its suite. */
export function fullNamesOf({ file, classname, suite, name }: Parts): string[][] {
  const files = file === null ? [] : spellingsOf(file).map(({ components }) => components);
  const places = [...files, componentsOf(classname), ...(suite === classname ? [] : [componentsOf(suite)])];
  const last = componentsOf(name);
  return places.map((place) => place.concat(last));
}

/** Identifies a test in all reports: its file, unless its class has that; its class, or its suite; and its name. */
export function testId({ file, classname, suite, name }: Parts): string {
  const hasClass = !NO_CLASS.has(classname) && classname !== name;
  const classHasFile =
    file !== null && spellingsOf(file).some(({ components }) => hasRun(componentsOf(classname), components));
  // jest-junit has the whole name in place of the class, and a part of it as the suite.
  const group = hasClass ? classname : file !== null && classname === name ? "" : suite;
  return [classHasFile ? "" : (file ?? ""), group, name].filter((part) => part !== "").join("::");
}

type Parts = Pick<TestCase, "file" | "classname" | "suite" | "name">;

/** Whether components stand in others, one after the other. */
function hasRun(components: readonly string[], run: readonly string[]): boolean {
  return components.some((_, begin) => run.every((component, index) => components[begin + index] === component));
}
