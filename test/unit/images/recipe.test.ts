import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadPresets } from "../../../shared/presets.ts";
import { listRecipes, loadRecipe, recipeDigest, RECIPES } from "../../../worker/images/recipe.ts";

describe("the project's recipes", () => {
  it("are all well-formed and start from one another or from Debian", async () => {
    const names = await listRecipes();
    const origins = (await Promise.all(names.map((name) => loadRecipe(name)))).map(({ from }) => from);
    const known: object[] = [{ debian: "bookworm" }, ...names.map((recipe) => ({ recipe }))];
    for (const origin of origins) expect(known).toContainEqual(origin);
  });

  it("make the image of every preset", async () => {
    const names = await listRecipes();
    const presets = loadPresets(RECIPES);
    expect([...presets.keys()].toSorted()).toEqual(["bash", "c", "cpp", "javascript", "python"]);
    for (const { image } of presets.values()) expect(names).toContain(image);
  });
});

describe("a recipe", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "longshore-recipes-"));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  async function write(name: string, content: object): Promise<void> {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, "recipe.json"), JSON.stringify(content));
  }

  it.each([
    ["an unknown field", { from: { debian: "bookworm" }, package: ["gcc"] }],
    ["a package that is an option of apt", { from: { debian: "bookworm" }, packages: ["--allow-unauthenticated"] }],
    ["a release that is an option", { from: { debian: "--help" } }],
    ["nothing to start from", { packages: ["gcc"] }],
  ])("is refused for %s, by file and field", async (_, content) => {
    await write("tool", { name: "tool", ...content });
    await expect(loadRecipe("tool", directory)).rejects.toThrow(/tool\/recipe\.json is malformed/);
  });

  it("is refused when its name is not its folder's", async () => {
    await write("tool", { name: "other", from: { debian: "bookworm" } });
    await expect(loadRecipe("tool", directory)).rejects.toThrow(/names itself other/);
  });

  it("that does not exist is answered with those that do", async () => {
    await write("tool", { name: "tool", from: { debian: "bookworm" } });
    await expect(loadRecipe("../../tool", directory)).rejects.toThrow(/there are tool/);
  });

  it("has another digest when it, or what it starts from, changes", async () => {
    await write("tool", { name: "tool", from: { debian: "bookworm" } });
    const recipe = await loadRecipe("tool", directory);
    const digests = [
      recipeDigest(recipe, undefined),
      recipeDigest({ ...recipe, packages: ["gcc"] }, undefined),
      recipeDigest(recipe, `sha256:${"0".repeat(64)}`),
    ];
    expect(new Set(digests).size).toBe(3);
    expect(recipeDigest(await loadRecipe("tool", directory), undefined)).toBe(digests[0]);
  });
});
