import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const documents = globSync("**/*.md", { cwd: root, exclude: ["node_modules/**"] });

/** Links to files of this tree: path, and the name of a heading behind `#`. Code has none. */
function* localLinks(markdown: string): Generator<{ readonly path: string; readonly heading: string }> {
  const prose = markdown.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "");
  for (const [, inline, reference] of prose.matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$/gm)) {
    const target = inline ?? reference ?? "";
    if (/^[a-z]+:/.test(target)) continue;
    const [path = "", heading = ""] = target.split("#");
    yield { path, heading };
  }
}

/** As GitHub names headings in addresses: lower case, hyphens for spaces, no punctuation. */
function headingsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe.each(documents)("%s", (document) => {
  test("has no link that leads nowhere", () => {
    const markdown = readFileSync(join(root, document), "utf8");
    for (const { path, heading } of localLinks(markdown)) {
      const target = path === "" ? join(root, document) : join(root, dirname(document), path);
      expect(existsSync(target), `${relative(root, target)} exists`).toBe(true);
      if (heading === "") continue;
      expect(statSync(target).isFile(), `${path} is a file`).toBe(true);
      expect(headingsOf(readFileSync(target, "utf8")), `headings of ${relative(root, target)}`).toContain(heading);
    }
  });
});
