/** Rules of a judge's request that span more than one field. */
import type * as z from "zod";
import { findPathConflicts } from "./paths/conflicts.ts";

/** Bounds of one request that no operator needs to move. */
export const judgeBounds = { cases: 1024, groups: 128, repeat: 100 } as const;

interface Files {
  readonly files: readonly { readonly path: string }[];
}

interface Cases {
  readonly cases: readonly { readonly name: string; readonly group?: string | undefined }[];
  readonly groups: readonly { readonly name: string; readonly dependsOn: readonly string[] }[];
  readonly checker?: unknown;
  readonly interactor?: unknown;
}

/** No path twice, none below another one. */
export function checkFiles({ files }: Files, context: z.core.$RefinementCtx): void {
  for (const { index, message } of findPathConflicts(files.map(({ path }) => path))) {
    context.addIssue({ code: "custom", path: ["files", index, "path"], message, input: files });
  }
}

/** Cases are told apart by name; and one program gives the verdict. */
export function checkCases({ cases, checker, interactor }: Cases, context: z.core.$RefinementCtx): void {
  for (const index of repetitions(cases)) {
    const message = "is the name of another case, too";
    context.addIssue({ code: "custom", path: ["cases", index, "name"], message, input: cases });
  }
  if (checker === undefined || interactor === undefined) return;
  const message = "cannot be given together with interactor, which gives the verdict";
  context.addIssue({ code: "custom", path: ["checker"], message, input: checker });
}

/**
 * A group depends on groups whose cases all come before its own. So the order of the cases is one in which they can be
 * run, and there are no circles.
 */
export function checkGroups({ cases, groups }: Cases, context: z.core.$RefinementCtx): void {
  const fault = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: "custom", path: ["groups", ...path], message, input: groups });
  for (const index of repetitions(groups)) fault([index, "name"], "is the name of another group, too");
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  for (const [index, { group }] of cases.entries()) {
    if (group === undefined) continue;
    if (!first.has(group)) first.set(group, index);
    last.set(group, index);
  }
  for (const [index, { name, dependsOn }] of groups.entries()) {
    const begin = first.get(name);
    if (begin === undefined) fault([index, "name"], "is the group of no case");
    for (const [position, other] of dependsOn.entries()) {
      const end = last.get(other);
      if (end === undefined) fault([index, "dependsOn", position], "is the group of no case");
      else if (begin !== undefined && end >= begin)
        fault([index, "dependsOn", position], `has cases that come after the first one of ${name}: put them before`);
    }
  }
}

/** Indices of those whose name has been there before. */
function repetitions(named: readonly { readonly name: string }[]): number[] {
  const names = new Set<string>();
  return named.flatMap(({ name }, index) => {
    if (names.has(name)) return [index];
    names.add(name);
    return [];
  });
}
