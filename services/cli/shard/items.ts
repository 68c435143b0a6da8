import { text } from "node:stream/consumers";
import { advance, type Candidates, isMatch, parsePattern } from "../../../shared/paths/glob.ts";
import { type Selection, walkDirectory } from "../directory-tree.ts";

/** Stands for the lines of our stdin. */
const STDIN = "-";

/**
 * What `--items` names, in the order of the options: files of the checkout that match a pattern (`tests/test_*.py`),
 * lines of stdin for `-`, and else the word itself, which may name a test or a package. None comes twice.
 * @throws for patterns that match no file
 */
export async function expandItems(
  words: readonly string[],
  directory: string,
  selection: Selection,
): Promise<string[]> {
  let files: string[] | undefined;
  const items = new Set<string>();
  for (const word of words) {
    if (word === STDIN) {
      for (const line of (await text(process.stdin)).split(/\r?\n/)) if (line !== "") items.add(line);
      continue;
    }
    const pattern = parsePattern(word);
    if (pattern.kind !== "glob") {
      items.add(word);
      continue;
    }
    files ??= await filesOf(directory, selection);
    const matching = files.filter((file) => matches(pattern.candidates, file));
    if (matching.length === 0) {
      throw new Error(
        `--items ${word} matches no file of ${directory}: give names with brackets by --items - and stdin`,
      );
    }
    for (const file of matching) items.add(file);
  }
  return [...items];
}

async function filesOf(directory: string, selection: Selection): Promise<string[]> {
  const files: string[] = [];
  for await (const { path, status } of walkDirectory(directory, selection)) if (status.isFile()) files.push(path);
  return files;
}

function matches(candidates: Candidates, path: string): boolean {
  const work = { steps: 0 };
  return isMatch(path.split("/").reduce((reached, name) => advance(reached, name, work), candidates));
}
