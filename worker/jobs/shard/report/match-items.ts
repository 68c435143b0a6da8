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
import { fullNamesOf, isEnding, type Spelling, spellingsOf } from "./test-name.ts";

/** Components of an item's end that are enough to know it by. */
const END_COMPONENTS_MIN = 2;

/**
 * Items that one test is looked up for. Nobody names a directory, its files and their tests so often; but thousands of items
 * may be spelled alike (`a/b`, `a.b`, `a//b`), and every test of theirs would have a list of them all.
 */
const ITEMS_MAX = 64;

/** What the ends of all items may take, in UTF-16 code units: those of long items with many components are many. */
const END_CHARACTERS_MAX = 16 * 1024 * 1024;

interface Match {
  readonly items: readonly string[];
  /** Components of the longest of them. */
  readonly length: number;
}

const NOTHING: Match = { items: [], length: 0 };

/** The items of a shard, prepared for being looked up by tests. */
export class ItemMatcher {
  readonly #whole = new NameIndex();
  readonly #ends = new NameIndex();

  constructor(items: Iterable<string>) {
    let endCharacters = 0;
    for (const item of items) {
      for (const spelling of spellingsOf(item)) {
        this.#whole.add(spelling, item);
        const { components, form } = spelling;
        for (let begin = 1; begin <= components.length - END_COMPONENTS_MIN; begin++) {
          endCharacters += item.length;
          if (endCharacters > END_CHARACTERS_MAX) break;
          this.#ends.add({ components: components.slice(begin), form }, item);
        }
      }
    }
  }

  /** The items that a test belongs to; none when it cannot be told. */
  itemsOf(test: TestCase): readonly string[] {
    const names = fullNamesOf(test);
    const whole = longest(names.flatMap((name) => name.map((_, begin) => this.#whole.find(name, begin))));
    if (whole.length > 0) return whole.items;
    return longest(names.map((name) => this.#ends.find(name, 0))).items;
  }
}

function longest(matches: readonly Match[]): Match {
  return matches.reduce((best, match) => (match.length > best.length ? match : best), NOTHING);
}

/** Items by their components. */
class NameIndex {
  readonly #items = {
    whole: new Map<string, string[]>(),
    /** Without the ending of their file: theirs is not the file that has another ending. */
    bare: new Map<string, string[]>(),
  };
  /** Most components of names begin no item, and need no further look. */
  readonly #firsts = new Set<string>();
  #lengthMax = 0;

  add({ components, form }: Spelling, item: string): void {
    const [first] = components;
    if (first === undefined) return;
    this.#firsts.add(first);
    this.#lengthMax = Math.max(this.#lengthMax, components.length);
    const key = components.join("\0");
    const items = this.#items[form].get(key);
    if (items === undefined) this.#items[form].set(key, [item]);
    else items.push(item);
  }

  /** All items that stand in a name from one of its components on. */
  find(name: readonly string[], begin: number): Match {
    if (!this.#firsts.has(name[begin] ?? "")) return NOTHING;
    const items = new Set<string>();
    let length = 0;
    const end = Math.min(name.length, begin + this.#lengthMax);
    for (let next = begin + 1; next <= end; next++) {
      const key = name.slice(begin, next).join("\0");
      const bare = isEnding(name[next]) ? undefined : this.#items.bare.get(key);
      for (const found of [this.#items.whole.get(key), bare]) {
        if (found === undefined) continue;
        length = next - begin;
        for (const item of found.slice(0, ITEMS_MAX - items.size)) items.add(item);
      }
    }
    return { items: [...items], length };
  }
}
