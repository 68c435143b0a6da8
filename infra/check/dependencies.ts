/**
 * Which folder may import which: data flows one way, and only worker/linux knows koffi.
 *
 *     services/* ─▶ shared ◀─ worker/jobs ─▶ worker/container ─▶ worker/cgroup ─▶ worker/linux ─▶ koffi
 *                                        └─▶ worker/images ─────────────────────────▲
 *
 * What worker/container shares with the rest is shared/paths alone.
 *
 * Run as a program it checks the tree and exits with 1 when an import goes another way.
 */
import { globSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { parseSync } from "oxc-parser";

/** The most specific folder that holds a file names the folders it may import from; its own is always allowed. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  shared: ["shared/paths"],
  // Rules of paths and patterns, which those who name files and those who collect them must read alike.
  "shared/paths": [],
  "services/api": ["shared"],
  "services/cli": ["shared"],
  infra: ["shared"],
  "worker/linux": [],
  "worker/seccomp": ["worker/linux"],
  "worker/cgroup": ["worker/linux"],
  "worker/container": ["worker/cgroup", "worker/seccomp", "worker/linux", "shared/paths"],
  "worker/images": ["worker/linux", "shared"],
  "worker/jobs": ["worker/container", "worker/images", "shared"],
  // Entry points and commands put the parts of a worker together.
  worker: ["shared"],
  test: ["shared", "services", "worker", "infra"],
};

/** Packages that only one folder may import. */
const ONLY_IN: Readonly<Record<string, string>> = { koffi: "worker/linux" };

/** An import that goes against the table; `reason` says which rule. */
export interface Violation {
  readonly file: string;
  readonly imported: string;
  readonly reason: string;
}

/** Checks one file's source; `file` is its path from the project's root, with slashes. */
export function violationsOf(file: string, source: string): Violation[] {
  const folder = folderOf(file);
  if (folder === undefined) return [{ file, imported: "", reason: "its folder has no line in the table of imports" }];
  const { module, errors } = parseSync(file, source);
  const syntaxError = errors[0];
  if (syntaxError !== undefined) return [{ file, imported: "", reason: syntaxError.message }];

  const specifiers = [
    ...module.staticImports.map((statement) => statement.moduleRequest.value),
    ...module.staticExports.flatMap((statement) => statement.entries.map((entry) => entry.moduleRequest?.value)),
    ...module.dynamicImports.map(({ moduleRequest }) =>
      source.slice(moduleRequest.start, moduleRequest.end).replace(/^(["'`])(.*)\1$/s, "$2"),
    ),
  ];
  return [...new Set(specifiers)].flatMap((imported) => {
    const reason = imported === undefined ? undefined : refusal(file, folder, imported);
    return imported === undefined || reason === undefined ? [] : [{ file, imported, reason }];
  });
}

function refusal(file: string, folder: string, imported: string): string | undefined {
  if (!imported.startsWith(".")) {
    const owner = ONLY_IN[imported];
    const allowed = owner === undefined || owner === folder || folder === "test";
    return allowed ? undefined : `only ${owner} may import ${imported}`;
  }
  const target = posix.join(posix.dirname(file), imported);
  const targetFolder = folderOf(target);
  if (targetFolder === undefined) return target.includes("/") ? `${target} is outside the table of imports` : undefined;
  if (targetFolder === folder) return undefined;
  const allowed = MAY_IMPORT[folder]?.some((may) => targetFolder === may || targetFolder.startsWith(`${may}/`));
  if (allowed === true || (folder === "worker" && targetFolder.startsWith("worker/"))) return undefined;
  return `${folder} may not import ${targetFolder}`;
}

function folderOf(file: string): string | undefined {
  return Object.keys(MAY_IMPORT)
    .filter((folder) => file.startsWith(`${folder}/`))
    .toSorted((a, b) => b.length - a.length)[0];
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "../..");
  const files = globSync("{services,worker,shared,infra,test}/**/*.ts", { cwd: root });
  const violations = files.flatMap((file) => violationsOf(file, readFileSync(join(root, file), "utf8")));
  for (const { file, imported, reason } of violations) console.error(`${file}: ${imported}: ${reason}`);
  console.log(`dependency direction: ${files.length} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
