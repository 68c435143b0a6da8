/**
 * What was found of every language, as it is kept in the tree: `infra/images/RESULT.md`.
 *
 * Building all images takes minutes, so most runs have some of them only. Each line therefore names what it was found of:
 * a digest of the image's recipe, the preset and the programs. A unit test says so when one of them has changed since.
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf, hexOf } from "../../../worker/images/digest.ts";
import { SHIPPED_IMAGES } from "../../../shared/presets.ts";
import type { StoreSize } from "../../../worker/images/store.ts";
import { programs } from "./programs.ts";

/** One language that does all that it has to. */
export interface LanguageResult {
  readonly language: string;
  /** Name and version of the Debian package that compiler or interpreter are from. */
  readonly package: string;
  /** The first line of what it says of its version itself. */
  readonly version: string;
  /** Peak of memory of the program that prints `hello`, and of its build, in bytes. */
  readonly helloBytes: number;
  readonly buildBytes: number | undefined;
}

/** The first characters of a digest of all that decides what is found of a language. */
export function recipeOf(language: string, image: string): string {
  const files = imageChain(image).flatMap((name) =>
    globSync(join(SHIPPED_IMAGES, name, "*"))
      .toSorted()
      .map((path) => [path.slice(SHIPPED_IMAGES.length), readFileSync(path, "utf8")]),
  );
  return hexOf(digestOf(JSON.stringify([files, programs[language]]))).slice(0, 12);
}

/** An image and those that it is made from. */
function imageChain(image: string): readonly string[] {
  const dockerfile = readFileSync(join(SHIPPED_IMAGES, image, "Dockerfile"), "utf8");
  const base = /^FROM (\S+)$/m.exec(dockerfile)?.[1];
  return base === undefined || base === "scratch" ? [image] : [image, ...imageChain(base)];
}

/** All of it, as Markdown. */
export function composeReport(
  results: readonly (LanguageResult & { readonly image: string })[],
  { images, layers, bytes }: StoreSize,
  command: string,
): string {
  const mebibytes = (count: number | undefined) => (count === undefined ? "" : `${Math.ceil(count / 1024 / 1024)}`);
  const rows = results.map(({ language, image, version, helloBytes, buildBytes, ...result }) =>
    [language, result.package, version, mebibytes(helloBytes), mebibytes(buildBytes), recipeOf(language, image)].join(
      " | ",
    ),
  );
  return [
    `# The last run of \`${command}\``,
    "",
    `${new Date().toISOString().slice(0, 10)}: each of ${results.length} languages said the version of its Debian package,`,
    "read a line, printed one, exited with a code of its choice, failed while it ran, and could not be run with an error in",
    "it. The memory is the peak of the program that prints `hello`, and of its build.",
    "",
    `The store: ${images} images of ${layers} layers, ${(bytes / 1e6).toFixed(0)} MB, layers that images share counted once.`,
    "",
    "<!-- prettier-ignore -->",
    "| language | package | what it says | MiB | build, MiB | recipe |",
    "| --- | --- | --- | --: | --: | --- |",
    ...rows.map((row) => `| ${row} |`),
    "",
  ].join("\n");
}
