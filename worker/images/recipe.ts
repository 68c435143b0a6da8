import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { digestOf, type Digest } from "./digest.ts";

/** Where the recipes of this project are: `infra/images/<name>/recipe.json`. */
export const RECIPES = join(import.meta.dirname, "../../infra/images");

const name = z
  .string()
  .regex(
    /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/,
    "an image name is lower-case letters, digits, and single . _ - between them",
  );

const recipe = z.strictObject({
  name,
  /** What the image starts from: another recipe, or a Debian release. */
  from: z.union([z.strictObject({ recipe: name }), z.strictObject({ debian: z.string().regex(/^[a-z]+$/) })]),
  /** Debian packages, installed without what they only recommend. */
  packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/)).default([]),
  /** Shell commands, run as root inside the image after its packages are installed. */
  commands: z.array(z.string()).default([]),
  /** Added to, and overriding, the environment of what the image starts from. */
  environment: z.record(z.string(), z.string()).default({}),
  /** The three below are inherited when they are left out. */
  command: z.array(z.string()).min(1).optional(),
  workingDirectory: z.string().startsWith("/").optional(),
  /** `uid:gid` in numbers. */
  user: z
    .string()
    .regex(/^\d{1,5}:\d{1,5}$/)
    .optional(),
});

/** How an image is made from Debian packages. Data only: the builder holds all that is done. */
export type Recipe = z.infer<typeof recipe>;

/**
 * Reads a recipe.
 * @throws when there is none of that name, or it is malformed
 */
export async function loadRecipe(recipeName: string, directory: string = RECIPES): Promise<Recipe> {
  const names = await listRecipes(directory);
  if (!names.includes(recipeName)) throw new Error(`no recipe for image ${recipeName}: there are ${names.join(", ")}`);
  const path = join(directory, recipeName, "recipe.json");
  const result = recipe.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (!result.success) throw new Error(`recipe ${path} is malformed: ${z.prettifyError(result.error)}`);
  if (result.data.name !== recipeName)
    throw new Error(`recipe ${path} names itself ${result.data.name}: name and folder have to agree`);
  return result.data;
}

/** Names of all recipes, sorted. */
export async function listRecipes(directory: string = RECIPES): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/**
 * Digest of all that decides what a build makes, as far as the recipe goes.
 * @param base manifest digest of the image that it starts from, if any
 */
export function recipeDigest(of: Recipe, base: Digest | undefined): Digest {
  return digestOf(JSON.stringify([of, base ?? null]));
}
