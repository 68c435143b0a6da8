/**
 * Sequences of components, all of which are looked for at once: the automaton of Aho and Corasick (1975), over words in
 * place of letters. What it takes to add sequences grows with their components, and what it takes to look through a name
 * with the name's: strangers choose both.
 *
 *   tests ─▶ a ─▶ py        a state is how far one of the sequences has been seen; where the next word does not go on
 *     └────▶ b              with it, the longest end of what was seen that begins another one is tried: its fallback
 */

/** Where nothing of any sequence has been seen. */
export const START = 0;

/** Words are numbered below it: a state and a word are one number, which a double holds. */
const WORDS_MAX = 2 ** 26;

export class ComponentAutomaton {
  readonly #words = new Map<string, number>();
  readonly #edges = new Map<number, number>();
  /** Of each state: the one before it, the word that leads to it, and how many words it has seen. */
  readonly #parents = [START];
  readonly #wordsTo = [-1];
  readonly #lengths = [0];
  #links: { readonly fallbacks: Int32Array; readonly shortestFirst: Int32Array } | undefined;

  /** Adds a sequence. @returns its states, one for each of its beginnings, the shortest first */
  add(components: readonly string[]): number[] {
    this.#links = undefined;
    let state = START;
    return components.map((component) => (state = this.#extend(state, this.#number(component))));
  }

  /** The longest beginning of a sequence that a name has seen last, after each of its components. */
  states(name: readonly string[]): number[] {
    const { fallbacks } = this.#linked();
    let state = START;
    return name.map((component) => (state = this.#next(state, this.#words.get(component), fallbacks)));
  }

  /** The state without its last word. */
  parent(state: number): number {
    return this.#parents[state] ?? START;
  }

  /** How many words a state has seen. */
  length(state: number): number {
    return this.#lengths[state] ?? 0;
  }

  /** The longest of a state's other ends that begin a sequence. */
  fallback(state: number): number {
    return this.#linked().fallbacks[state] ?? START;
  }

  /** For each state, the longest end of what it has seen that is one of these states; {@link START} where there is none. */
  nearest(isMeant: (state: number) => boolean): Int32Array {
    const { fallbacks, shortestFirst } = this.#linked();
    const nearest = new Int32Array(fallbacks.length);
    for (const state of shortestFirst) {
      nearest[state] = isMeant(state) ? state : (nearest[fallbacks[state] ?? START] ?? START);
    }
    return nearest;
  }

  #number(component: string): number {
    const known = this.#words.get(component);
    if (known !== undefined) return known;
    const word = this.#words.size;
    this.#words.set(component, word);
    return word;
  }

  #extend(state: number, word: number): number {
    const key = edge(state, word);
    const known = this.#edges.get(key);
    if (known !== undefined) return known;
    const added = this.#parents.length;
    this.#edges.set(key, added);
    this.#parents.push(state);
    this.#wordsTo.push(word);
    this.#lengths.push(this.length(state) + 1);
    return added;
  }

  #next(from: number, word: number | undefined, fallbacks: Int32Array): number {
    if (word === undefined) return START;
    for (let state = from; ; state = fallbacks[state] ?? START) {
      const next = this.#edges.get(edge(state, word));
      if (next !== undefined) return next;
      if (state === START) return START;
    }
  }

  /** Fallbacks are shorter: they are known when those of all shorter states are. */
  #linked(): { readonly fallbacks: Int32Array; readonly shortestFirst: Int32Array } {
    if (this.#links !== undefined) return this.#links;
    const shortestFirst = sortedBy(this.#lengths);
    const fallbacks = new Int32Array(shortestFirst.length);
    for (const state of shortestFirst) {
      const parent = this.parent(state);
      // What follows the start alone has seen nothing before.
      if (parent === START) continue;
      fallbacks[state] = this.#next(fallbacks[parent] ?? START, this.#wordsTo[state], fallbacks);
    }
    this.#links = { fallbacks, shortestFirst };
    return this.#links;
  }
}

function edge(state: number, word: number): number {
  return state * WORDS_MAX + word;
}

/** Indices in the order of their small numbers, those of the same one in theirs. */
function sortedBy(numbers: readonly number[]): Int32Array {
  const begins: number[] = [0];
  for (const number of numbers) begins[number + 1] = (begins[number + 1] ?? 0) + 1;
  for (let number = 1; number < begins.length; number++) {
    begins[number] = (begins[number] ?? 0) + (begins[number - 1] ?? 0);
  }
  const sorted = new Int32Array(numbers.length);
  for (const [index, number] of numbers.entries()) {
    const place = begins[number] ?? 0;
    sorted[place] = index;
    begins[number] = place + 1;
  }
  return sorted;
}
