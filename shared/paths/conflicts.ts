/** Where a list of paths contradicts itself. */
export interface PathConflict {
  readonly index: number;
  readonly message: string;
}

/** What is known of one path: whether it was named itself, and what was named below it. */
interface Entry {
  isNamed: boolean;
  readonly below: Map<string, Entry>;
}

/**
 * Finds paths that are named twice, or that lie below another one. Every component is looked up twice, in a tree of
 * all of them: the time is linear in the length of the list's paths together.
 */
export function findPathConflicts(paths: readonly string[]): PathConflict[] {
  const root: Entry = { isNamed: false, below: new Map() };
  const conflicts: PathConflict[] = [];
  for (const [index, path] of paths.entries()) {
    const entry = insert(root, path.split("/"));
    if (entry.isNamed) conflicts.push({ index, message: `${path} is named twice` });
    entry.isNamed = true;
  }
  for (const [index, path] of paths.entries()) {
    const directory = namedDirectoryOf(root, path.split("/"));
    if (directory !== undefined) {
      conflicts.push({ index, message: `lies below ${directory}, which is named as a file` });
    }
  }
  return conflicts;
}

function insert(root: Entry, components: readonly string[]): Entry {
  let entry = root;
  for (const component of components) {
    const known = entry.below.get(component);
    const next: Entry = known ?? { isNamed: false, below: new Map() };
    if (known === undefined) entry.below.set(component, next);
    entry = next;
  }
  return entry;
}

/** The highest directory of a path that is named as a file. */
function namedDirectoryOf(root: Entry, components: readonly string[]): string | undefined {
  let entry: Entry | undefined = root;
  for (const [index, component] of components.slice(0, -1).entries()) {
    entry = entry?.below.get(component);
    if (entry?.isNamed === true) return components.slice(0, index + 1).join("/");
  }
  return undefined;
}
