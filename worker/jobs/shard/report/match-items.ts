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
import { ComponentAutomaton, START } from "./component-automaton.ts";
import type { TestCase } from "./test-case.ts";
import { fullNamesOf, isEnding, type Spelling, spellingsOf } from "./test-name.ts";

/** Components of an item's end that are enough to know it by. */
const END_COMPONENTS_MIN = 2;

/**
 * Items that one test is looked up for. Nobody names a directory, its files and their tests so often; but thousands of items
 * may be spelled alike (`a/b`, `a.b`, `a//b`), and every test of theirs would have a list of them all.
 */
const ITEMS_MAX = 64;

/** Ends of all items that are known: those of items with many components are many. */
const ENDS_MAX = 1_000_000;

/** The items of a shard, prepared for being looked up by tests. */
export class ItemMatcher {
  readonly #whole: WholeNames;
  readonly #ends: EndsOfNames;

  constructor(items: Iterable<string>) {
    const spelled = [...items].flatMap((item) => spellingsOf(item).map((spelling) => ({ item, spelling })));
    this.#whole = new WholeNames(spelled);
    this.#ends = new EndsOfNames(spelled);
  }

  /** The items that a test belongs to; none when it cannot be told. */
  itemsOf(test: TestCase): readonly string[] {
    const names = fullNamesOf(test);
    const whole = longest(names.map((name) => this.#whole.find(name)));
    return (whole ?? longest(names.map((name) => this.#ends.find(name))))?.items() ?? [];
  }
}

interface SpelledItem {
  readonly item: string;
  readonly spelling: Spelling;
}

interface Match {
  /** Components of the longest of its items. */
  readonly length: number;
  readonly items: () => readonly string[];
}

function longest(matches: readonly (Match | undefined)[]): Match | undefined {
  let best: Match | undefined;
  for (const match of matches) if (match !== undefined && match.length > (best?.length ?? 0)) best = match;
  return best;
}

/** Items at states of an automaton. */
class ItemsAtStates {
  readonly #items = {
    whole: new Map<number, string[]>(),
    /** Without the ending of their file: theirs is not the file that has another ending. */
    bare: new Map<number, string[]>(),
  };

  add(state: number, form: Spelling["form"], item: string): void {
    const items = this.#items[form].get(state);
    if (items === undefined) this.#items[form].set(state, [item]);
    else if (items.length < ITEMS_MAX) items.push(item);
  }

  has(state: number, next: "an ending" | "anything else"): boolean {
    return this.#items.whole.has(state) || (next === "anything else" && this.#items.bare.has(state));
  }

  /** Those at states in front of certain components of a name, as many as a test is looked up for. */
  at(places: Iterable<{ readonly state: number; readonly next: string | undefined }>): readonly string[] {
    const items = new Set<string>();
    for (const { state, next } of places) {
      const bare = isEnding(next) ? undefined : this.#items.bare.get(state);
      for (const found of [this.#items.whole.get(state), bare]) {
        for (const item of found?.slice(0, ITEMS_MAX - items.size) ?? []) items.add(item);
      }
    }
    return [...items];
  }
}

/** Items that stand anywhere in a name. */
class WholeNames {
  readonly #automaton = new ComponentAutomaton();
  readonly #items = new ItemsAtStates();
  /** Of each state, the longest item that it ends with. */
  readonly #nearest: NearestItems;

  constructor(items: readonly SpelledItem[]) {
    for (const { item, spelling } of items) {
      const state = this.#automaton.add(spelling.components).at(-1);
      if (state !== undefined) this.#items.add(state, spelling.form, item);
    }
    this.#nearest = nearestItems(this.#automaton, this.#items);
  }

  /** The longest item in a name, and those that begin where it does. */
  find(name: readonly string[]): Match | undefined {
    let best: Match | undefined;
    for (const [index, seen] of this.#automaton.states(name).entries()) {
      const state = nearestTo(seen, name[index + 1], this.#nearest);
      const length = this.#automaton.length(state);
      if (length <= (best?.length ?? 0)) continue;
      const begin = index + 1 - length;
      best = { length, items: () => this.#items.at(this.#beginnings(state, name.slice(begin)).toReversed()) };
    }
    return best;
  }

  #beginnings(state: number, name: readonly string[]): { readonly state: number; readonly next: string | undefined }[] {
    const beginnings = [];
    for (let each = state; each !== START; each = this.#automaton.parent(each)) {
      beginnings.push({ state: each, next: name[this.#automaton.length(each)] });
    }
    return beginnings;
  }
}

/** Items whose end begins a name: both are read backwards, so that it is the last thing seen of the name. */
class EndsOfNames {
  readonly #automaton = new ComponentAutomaton();
  readonly #items = new ItemsAtStates();
  readonly #nearest: NearestItems;

  constructor(items: readonly SpelledItem[]) {
    let ends = 0;
    for (const { item, spelling } of items) {
      if (spelling.components.length <= END_COMPONENTS_MIN) continue;
      ends += spelling.components.length;
      if (ends > ENDS_MAX) break;
      const states = this.#automaton.add(spelling.components.slice(1).toReversed());
      for (const state of states.slice(END_COMPONENTS_MIN - 1)) this.#items.add(state, spelling.form, item);
    }
    this.#nearest = nearestItems(this.#automaton, this.#items);
  }

  find(name: readonly string[]): Match | undefined {
    const places: { readonly state: number; readonly next: string | undefined }[] = [];
    let seen = this.#automaton.states(name.toReversed()).at(-1) ?? START;
    for (;;) {
      // Any, since what comes next depends on how long it is.
      const state = nearestTo(seen, undefined, this.#nearest);
      if (state === START) break;
      const next = name[this.#automaton.length(state)];
      if (this.#items.has(state, isEnding(next) ? "an ending" : "anything else")) places.push({ state, next });
      seen = this.#automaton.fallback(state);
    }
    const [first] = places;
    if (first === undefined) return undefined;
    return { length: this.#automaton.length(first.state), items: () => this.#items.at(places.toReversed()) };
  }
}

/** Of each state, the longest end of what it has seen that has items, by what comes next. */
interface NearestItems {
  readonly beforeEnding: Int32Array;
  readonly beforeAnything: Int32Array;
}

function nearestItems(automaton: ComponentAutomaton, items: ItemsAtStates): NearestItems {
  return {
    beforeEnding: automaton.nearest((state) => items.has(state, "an ending")),
    beforeAnything: automaton.nearest((state) => items.has(state, "anything else")),
  };
}

function nearestTo(state: number, next: string | undefined, { beforeEnding, beforeAnything }: NearestItems): number {
  return (isEnding(next) ? beforeEnding : beforeAnything)[state] ?? START;
}
