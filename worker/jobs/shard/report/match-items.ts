/**
 * Which tests of reports belong to which items, so that an item without any test is noticed.
 *
 * An item and a test belong together when the item's components stand in one of the test's full names, one after the
 * other: `tests/test_a.py` in `tests.test_a.TestX.test_y`, `./pkg` in `example.com/module/pkg.TestAdd`. If several items
 * do, the longest decides where, and the others have to begin at the same place: of `api/tests/x.py` and `tests/x.py`, the
 * second has nothing of `api.tests.x`; of `tests/x.py` and `tests/x.py::test_a`, both have that test.
 *
 * Where that finds nothing, the end of an item may be the test's beginning, by two components at least: Playwright's paths
 * begin in its test directory, and Java's classes know nothing of `src/test/java`.
 */
import type { TestCase } from "./test-case.ts";
import { fullNamesOf, isEnding, spellingsOf } from "./test-name.ts";

/** Components of an item's end that are enough to know it by. */
const END_COMPONENTS_MIN = 2;

interface Node {
  readonly next: Map<string, Node>;
  readonly whole: Set<string>;
  /** Items without the ending of their file: theirs is not the one that has another ending. */
  readonly bare: Set<string>;
}

interface Match {
  readonly items: readonly string[];
  /** Components of the longest of them. */
  readonly length: number;
}

const NOTHING: Match = { items: [], length: 0 };

/** The items of a shard, prepared for being looked up by tests. */
export class ItemMatcher {
  readonly #whole = makeNode();
  readonly #ends = makeNode();

  constructor(items: Iterable<string>) {
    for (const item of items) {
      for (const { components, form } of spellingsOf(item)) {
        insert(this.#whole, components)[form].add(item);
        for (let begin = 1; begin <= components.length - END_COMPONENTS_MIN; begin++) {
          insert(this.#ends, components.slice(begin))[form].add(item);
        }
      }
    }
  }

  /** The items that a test belongs to; none when it cannot be told. */
  itemsOf(test: TestCase): readonly string[] {
    const names = fullNamesOf(test);
    const whole = names.flatMap((name) => name.map((_, begin) => walk(this.#whole, name, begin)));
    const match = longest(whole);
    if (match.length > 0) return match.items;
    return longest(names.map((name) => walk(this.#ends, name, 0))).items;
  }
}

function longest(matches: readonly Match[]): Match {
  return matches.reduce((best, match) => (match.length > best.length ? match : best), NOTHING);
}

function makeNode(): Node {
  return { next: new Map(), whole: new Set(), bare: new Set() };
}

function insert(root: Node, components: readonly string[]): Node {
  let node = root;
  for (const component of components) {
    let next = node.next.get(component);
    if (next === undefined) node.next.set(component, (next = makeNode()));
    node = next;
  }
  return node;
}

/** All items that stand in a name from one of its components on. */
function walk(root: Node, name: readonly string[], begin: number): Match {
  const items = new Set<string>();
  let length = 0;
  let node: Node | undefined = root;
  for (let index = begin; index < name.length; index++) {
    node = node.next.get(name[index] ?? "");
    if (node === undefined) break;
    const here = isEnding(name[index + 1]) ? node.whole : node.whole.union(node.bare);
    if (here.size === 0) continue;
    length = index + 1 - begin;
    for (const item of here) items.add(item);
  }
  return { items: [...items], length };
}
