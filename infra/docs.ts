/**
 * `npm run docs`: the tables of README.md, made from what the code itself uses.
 *
 * A table stands between `<!-- NAME -->` and `<!-- /NAME -->`. A unit test holds README and tables together.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderVariableTable } from "../shared/config.ts";
import { renderErrorTable } from "../shared/errors.ts";
import { limitNames, limitTable } from "../shared/limits.ts";
import { loadPresets } from "../shared/presets.ts";

const root = join(import.meta.dirname, "..");

/** The tables, by the name of their place. */
const tables: Readonly<Record<string, () => string>> = {
  variables: renderVariableTable,
  errors: renderErrorTable,
  limits: renderLimitTable,
  languages: renderLanguageTable,
};

/** Puts the tables of today into a document. Throws when it has no place for one of them. */
export function insertTables(document: string): string {
  return Object.entries(tables).reduce((text, [name, render]) => {
    const place = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, "s");
    if (!place.test(text)) throw new Error(`there is no <!-- ${name} --> … <!-- /${name} --> in the document`);
    // Prettier would pad the columns, and every new row would then change all of them.
    return text.replace(
      place,
      (_, begin: string, end: string) => `${begin}\n<!-- prettier-ignore -->\n${render()}\n\n${end}`,
    );
  }, document);
}

function renderLimitTable(): string {
  const rows = limitNames.map((name) => {
    const { default: normal, minimum, maximum, meaning } = limitTable[name];
    return `| \`${name}\` | ${normal} | ${minimum} | ${maximum} | ${meaning} |`;
  });
  return ["| limit | default | least | most | meaning |", "| --- | --: | --: | --: | --- |", ...rows].join("\n");
}

function renderLanguageTable(): string {
  const code = (words: readonly string[]) => `\`${words.join(" ")}\``;
  const rows = [...loadPresets(join(root, "infra/images")).values()].map(
    ({ language, image, fileName, build, run }) =>
      `| \`${language}\` | \`${image}\` | \`${fileName}\` | ${build === undefined ? "" : code(build.command)} | ${code(run)} |`,
  );
  return ["| language | image | source is put in | build | run |", "| --- | --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

if (import.meta.main) {
  const readme = join(root, "README.md");
  writeFileSync(readme, insertTables(readFileSync(readme, "utf8")));
}
