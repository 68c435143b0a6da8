import { advance, type Candidates, isMatch, parsePattern, unite } from "../../../shared/paths/glob.ts";

/** Tells which paths patterns match: those from the root, with a slash at their beginning, and those that are relative. */
export function createMatcher(patterns: readonly string[]): (path: string) => boolean {
  const relative = compile(patterns.filter((pattern) => !pattern.startsWith("/")));
  const absolute = compile(patterns.flatMap((pattern) => (pattern.startsWith("/") ? [pattern.slice(1)] : [])));
  return (path) => (path.startsWith("/") ? absolute(path.slice(1)) : relative(path));
}

function compile(patterns: readonly string[]): (path: string) => boolean {
  const paths = new Set<string>();
  const globs: Candidates[] = [];
  for (const pattern of patterns) {
    const parsed = parsePattern(pattern);
    if (parsed.kind === "path") paths.add(parsed.path);
    else if (parsed.kind === "glob") globs.push(parsed.candidates);
  }
  const glob = unite(globs);
  return (path) => {
    if (paths.has(path)) return true;
    let candidates = glob;
    for (const name of path.split("/")) {
      // What the walk through the container's files has found is looked at once more: it was bounded there.
      candidates = advance(candidates, name, { steps: 0 });
      if (candidates.size === 0) return false;
    }
    return isMatch(candidates);
  };
}
