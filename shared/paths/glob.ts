/**
 * Patterns of paths, for output files.
 *
 *   *        any characters of one component, none included; names that begin with a dot, too
 *   ?        one character
 *   [a-z_]   one character of a set; [!a-z] one that is not of it
 *   **       as a whole component: any number of directories, none included; at the end everything below
 *
 * All else stands for itself; `[*]` is a star. Braces and the shells' extended patterns are refused, so that no pattern
 * means something else than its author thinks.
 *
 * A pattern is a list of nodes, one for each component. A path is matched component by component, with all nodes that
 * could come next: there is no way back, so every component is compared with every node once at most. The same nodes
 * tell, on the way down a tree, whether there can be a match below a directory.
 */
import { describeRelativePathFault } from "./faults.ts";
import { hasWildcard, matchesName, type NamePattern, parseNamePattern, type Work } from "./name-pattern.ts";

type Node =
  | { readonly kind: "name"; readonly pattern: NamePattern; readonly next: Node }
  | { readonly kind: "directories"; readonly next: Node }
  | { readonly kind: "end" };

/** What the next component of a path may match: of one pattern, or of several at once. */
export type Candidates = ReadonlySet<Node>;

/** What a client's pattern turned out to be. */
export type Pattern =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "glob"; readonly candidates: Candidates }
  /** `message` continues a sentence that begins with the pattern. */
  | { readonly kind: "fault"; readonly message: string };

const END: Node = { kind: "end" };

/** Reads a pattern; one without a wildcard is a path. */
export function parsePattern(pattern: string): Pattern {
  const fault = describeRelativePathFault(pattern);
  if (fault !== undefined) return { kind: "fault", message: fault };
  const components = pattern.split("/");
  try {
    const start = components.reduceRight(prepend, components.at(-1) === "**" ? ANYTHING : END);
    if (!components.some(hasWildcard)) return { kind: "path", path: pattern };
    return { kind: "glob", candidates: withSuccessors([start]) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { kind: "fault", message: error.message };
  }
}

/** What `**` at the end has behind it: no directory, but something in one. */
const ANYTHING: Node = { kind: "name", pattern: parseNamePattern("*"), next: END };

function prepend(next: Node, component: string): Node {
  if (component !== "**") return { kind: "name", pattern: parseNamePattern(component), next };
  return next.kind === "directories" ? next : { kind: "directories", next };
}

/** Several patterns as one: a path is matched that one of them matches. */
export function unite(patterns: readonly Candidates[]): Candidates {
  return new Set(patterns.flatMap((candidates) => [...candidates]));
}

/** What is left to match behind a component with this name. */
export function advance(candidates: Candidates, name: string, work: Work): Candidates {
  const characters = Array.from(name);
  const reached: Node[] = [];
  for (const node of candidates) {
    work.steps++;
    switch (node.kind) {
      case "name":
        if (matchesName(node.pattern, characters, work)) reached.push(node.next);
        break;
      case "directories":
        reached.push(node);
        break;
      case "end":
        break;
      default:
        node satisfies never;
    }
  }
  return withSuccessors(reached);
}

/** `**` may stand for no directory at all: with it comes what follows it. */
function withSuccessors(nodes: readonly Node[]): Candidates {
  return new Set(nodes.flatMap((node) => (node.kind === "directories" ? [node, node.next] : [node])));
}

/** Whether the path that led here matches. */
export function isMatch(candidates: Candidates): boolean {
  return candidates.has(END);
}

/** Whether a path below the one that led here can match. */
export function canMatchBelow(candidates: Candidates): boolean {
  return candidates.size > (candidates.has(END) ? 1 : 0);
}
