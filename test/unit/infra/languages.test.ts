import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadPresets, SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { recipeOf } from "../../integration/languages/report.ts";

test("what the tree says of all languages was found of what is in the tree: npm run test:languages", () => {
  const report = readFileSync(join(SHIPPED_IMAGES, "RESULT.md"), "utf8");
  const lines = [...report.matchAll(/^\| (\S+) \| \S+ \d.* \| (\S+) \|$/gm)];
  const found = lines.map(([, language, recipe]) => [language, recipe]);
  const presets = [...loadPresets(SHIPPED_IMAGES).values()];
  expect(found).toEqual(presets.map(({ language, image }) => [language, recipeOf(language, image)]));
});
