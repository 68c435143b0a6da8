/**
 * A problem in a directory, for `longshore judge`:
 *
 *   cases/NAME.in               what the submission reads
 *         NAME.out, NAME.ans    what is expected; may be missing where a program judges
 *         GROUP/NAME.in …       cases of a group
 *   problem.json                may be missing: fields of the request (limits, checker, interactor, groups, stopOn,
 *                               repeat), and points and limits of single cases
 *
 * Groups come in the order of problem.json, then by name; cases by name, numbers in it by their value.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { isMissing } from "./missing.ts";
import { guessLanguage } from "./languages.ts";

const fields = z.record(z.string(), z.unknown());

const programSchema = z.looseObject({
  type: z.string().optional(),
  /** The program's main file, in the problem's directory. */
  file: z.string().optional(),
  /** Further files, e.g. testlib.h. */
  files: z.array(z.string()).default([]),
});

const problemSchema = z.strictObject({
  limits: fields.optional(),
  checker: programSchema.optional(),
  interactor: programSchema.optional(),
  groups: z.array(z.looseObject({ name: z.string() })).optional(),
  stopOn: z.string().optional(),
  repeat: z.number().optional(),
  /** By the name of the case. */
  cases: z.record(z.string(), fields).default({}),
});

/** A file with the data of a case. */
export interface DataFile {
  readonly path: string;
  readonly bytes: number;
}

export interface ProblemCase {
  readonly name: string;
  readonly group: string | undefined;
  readonly stdin: DataFile;
  readonly expected: DataFile | undefined;
}

export interface Problem {
  /** Fields of the request, without its cases. What the API checks is left to the API. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cases: readonly ProblemCase[];
  /** Points and limits of cases by their names, as problem.json has them. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Reads a problem, but for the data of its cases. Throws for what is not as it has to be, with a message for people. */
export async function readProblem(directory: string): Promise<Problem> {
  const { cases: settings, checker, interactor, groups = [], ...rest } = await readSettings(directory);
  const cases = await findCases(
    join(directory, "cases"),
    groups.map(({ name }) => name),
  );
  if (cases.length === 0)
    throw new Error(`${directory} has no cases: put NAME.in and NAME.out into ${directory}/cases`);
  const unknown = Object.keys(settings).find((name) => !cases.some((found) => found.name === name));
  if (unknown !== undefined) throw new Error(`${directory}/problem.json has settings of ${unknown}, which is no case`);
  return {
    fields: {
      ...rest,
      ...(groups.length > 0 && { groups }),
      ...(checker !== undefined && { checker: await readProgram(directory, checker) }),
      ...(interactor !== undefined && { interactor: await readProgram(directory, interactor) }),
    },
    cases,
    settings,
  };
}

async function readSettings(directory: string): Promise<z.output<typeof problemSchema>> {
  const file = join(directory, "problem.json");
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (isMissing(error)) return "{}";
    throw error;
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const parsed = problemSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Error(`${file} describes no problem:\n${z.prettifyError(parsed.error)}`);
}

/** A checker without a file is one of the API's own. */
async function readProgram(directory: string, program: z.output<typeof programSchema>): Promise<object> {
  const { file, files, ...rest } = program;
  if (file === undefined) return rest;
  const language = rest["language"] ?? guessLanguage(file);
  if (language === undefined) throw new Error(`the ending of ${file} names no language: give it in problem.json`);
  const source = await readFile(join(directory, file), "utf8");
  const others = await Promise.all(
    files.map(async (path) => ({ path: basename(path), content: await readFile(join(directory, path), "utf8") })),
  );
  return { ...rest, language, source, files: others };
}

/** `2` comes before `10`. */
const byName = new Intl.Collator("en", { numeric: true }).compare;

async function findCases(directory: string, groups: readonly string[]): Promise<ProblemCase[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (entries === undefined) return [];
  const rank = (name: string): number => (groups.includes(name) ? groups.indexOf(name) : groups.length);
  const directories = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted((one, other) => rank(one) - rank(other) || byName(one, other));
  const cases = await casesIn(directory, undefined);
  for (const group of directories) cases.push(...(await casesIn(join(directory, group), group)));
  return cases;
}

async function casesIn(directory: string, group: string | undefined): Promise<ProblemCase[]> {
  const names = new Set(await readdir(directory));
  const inputs = [...names].filter((name) => name.endsWith(".in")).toSorted(byName);
  return await Promise.all(
    inputs.map(async (input) => {
      const stem = input.slice(0, -".in".length);
      const expected = [`${stem}.out`, `${stem}.ans`].find((name) => names.has(name));
      return {
        name: group === undefined ? stem : `${group}/${stem}`,
        group,
        stdin: await dataFile(join(directory, input)),
        expected: expected === undefined ? undefined : await dataFile(join(directory, expected)),
      };
    }),
  );
}

async function dataFile(path: string): Promise<DataFile> {
  return { path, bytes: (await stat(path)).size };
}
