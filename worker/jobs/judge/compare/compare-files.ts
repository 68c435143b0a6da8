/** Whether an output is the expected one, by one of the rules that need no program. */
import type { ComparisonRule } from "../../../../shared/judge-request.ts";
import { firstDifference } from "./first-difference.ts";
import { firstFarToken } from "./floats.ts";
import { linesOf, piecesOf, tokensOf } from "./pieces.ts";

/** Two files, and how they are to be compared. */
export interface Comparison {
  readonly output: string;
  readonly expected: string;
  readonly rule: ComparisonRule;
}

/** `presentation_error`: the tokens are right, what is between them is not. */
export interface ComparisonResult {
  readonly verdict: "accepted" | "wrong_answer" | "presentation_error";
  readonly message: string;
}

const ACCEPTED: ComparisonResult = { verdict: "accepted", message: "" };

/** Compares two files piece by piece. Blocks its thread: see `compareInThread`. */
export function compareFiles({ output, expected, rule }: Comparison): ComparisonResult {
  switch (rule.type) {
    case "exact":
      return compareLines(piecesOf(output), piecesOf(expected), { output, expected, rule });
    case "lines":
      return compareLines(linesOf(piecesOf(output)), linesOf(piecesOf(expected)), { output, expected, rule });
    case "tokens":
      return compareTokens(output, expected);
    case "float": {
      const { absolute = rule.tolerance, relative = rule.tolerance } = rule;
      const far = firstFarToken(output, expected, { absolute, relative });
      return far === undefined ? ACCEPTED : wrong(`token ${far.index + 1}`, far.found, far.expected);
    }
    default:
      return rule satisfies never;
  }
}

function compareLines(found: Iterable<Buffer>, wanted: Iterable<Buffer>, files: Comparison): ComparisonResult {
  const difference = firstDifference(found, wanted);
  if (difference === undefined) return ACCEPTED;
  const result = wrong(`line ${difference.line + 1}`, difference.found, difference.expected);
  const isRight = compareTokens(files.output, files.expected).verdict === "accepted";
  return isRight ? { ...result, verdict: "presentation_error" } : result;
}

function compareTokens(output: string, expected: string): ComparisonResult {
  const difference = firstDifference(tokensOf(piecesOf(output)), tokensOf(piecesOf(expected)));
  if (difference === undefined) return ACCEPTED;
  // Each token is a line there, whose end is none of it.
  const withoutEnd = (line: string): string => line.replace(/\n$/, "");
  return wrong(`token ${difference.line + 1}`, withoutEnd(difference.found), withoutEnd(difference.expected));
}

function wrong(place: string, found: string, expected: string): ComparisonResult {
  const message = `${place} is ${quote(found)}, expected ${quote(expected)}`;
  return { verdict: "wrong_answer", message };
}

function quote(text: string): string {
  return text === "" ? "nothing" : JSON.stringify(text);
}
