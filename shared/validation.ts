/** From zod's issues to the `details` of an error: one entry a fault, with the path of the field that has it. */
import * as z from "zod";
import type { ErrorDetail } from "./errors.ts";

type Issue = z.core.$ZodIssue;

/** More faults than this in one request are not listed: the answer must not outgrow the question. */
const MAX_DETAILS = 32;

/** Lists what is wrong, most specific field first where alternatives were possible. */
export function issuesToDetails(issues: readonly Issue[]): ErrorDetail[] {
  return issues.flatMap((issue) => expand(issue, [])).slice(0, MAX_DETAILS);
}

function expand(issue: Issue, parents: readonly PropertyKey[]): ErrorDetail[] {
  const path = [...parents, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => detail([...path, key], "unknown field"));
    case "invalid_key":
      return issue.issues.map((inner) => detail(path, inner.message));
    case "invalid_union":
      return expandUnion(issue, path);
    default:
      return [detail(path, issue.message)];
  }
}

/** Of the alternatives of a union, the one that the value came furthest in is the one that was meant. */
function expandUnion(issue: z.core.$ZodIssueInvalidUnion, path: readonly PropertyKey[]): ErrorDetail[] {
  const alternatives = issue.errors.filter((alternative) => alternative.length > 0);
  const [deepest] = alternatives.toSorted((left, right) => depth(right) - depth(left));
  if (deepest === undefined || depth(deepest) === 0) return [detail(path, issue.message)];
  return deepest.flatMap((inner) => expand(inner, path));
}

function depth(alternative: readonly Issue[]): number {
  return Math.max(...alternative.map(({ path }) => path.length));
}

function detail(path: readonly PropertyKey[], message: string): ErrorDetail {
  // zod starts its messages with a capital; ours read as the rest of a sentence after the path
  return { path: z.core.toDotPath(path), message: message.charAt(0).toLowerCase() + message.slice(1) };
}
