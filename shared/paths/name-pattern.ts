/** A pattern of one component of a path: `*`, `?`, `[abc]`, `[a-z]`, `[!…]`, and everything else for itself. */

/** What stands for one character, or (`star`) for any number of them. */
type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "set"; readonly excluded: boolean; readonly ranges: readonly Range[] };

/** First and last code point. */
type Range = readonly [first: number, last: number];

export type NamePattern = readonly Token[];

/** Counts what matching costs; who matches on behalf of others looks at it and stops. */
export interface Work {
  steps: number;
}

/** Whether a component holds a wildcard. */
export function hasWildcard(component: string): boolean {
  return /[*?[]/.test(component);
}

/**
 * Reads a component that is not `**`. Stars that follow each other are one.
 * @throws {SyntaxError} whose message continues a sentence that begins with the pattern
 */
export function parseNamePattern(component: string): NamePattern {
  const tokens: Token[] = [];
  const characters = Array.from(component);
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? "";
    const isExtended = characters[index + 1] === "(" && "?*+@!".includes(character);
    if (isExtended) throw new SyntaxError(`has ${character}(, which is not supported: write [(] for the character`);
    switch (character) {
      case "{":
        throw new SyntaxError("has {, which is not supported: name every alternative, or write [{] for the character");
      case "*":
        if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
        break;
      case "?":
        tokens.push({ kind: "any" });
        break;
      case "[": {
        const end = endOfSet(characters, index);
        tokens.push(parseSet(characters.slice(index + 1, end)));
        index = end;
        break;
      }
      default:
        tokens.push({ kind: "character", character });
    }
  }
  return tokens;
}

/** A `]` that comes first, or first after `!`, is one of the set (POSIX, 2.14.1). */
function endOfSet(characters: readonly string[], start: number): number {
  const first = characters[start + 1] === "!" ? start + 2 : start + 1;
  const end = characters.indexOf("]", first + 1);
  if (end === -1) throw new SyntaxError("has a [ without its ]: write [[] for the character");
  return end;
}

function parseSet(content: readonly string[]): Token {
  if (content[0] === "^") throw new SyntaxError("has [^, which is not supported: write [! for all but those");
  const isClass = content.some((character, index) => character === "[" && /[:.=]/.test(content[index + 1] ?? ""));
  if (isClass) throw new SyntaxError("has a class as in [[:alpha:]], which is not supported: write ranges as in [a-z]");
  const excluded = content[0] === "!";
  const members = excluded ? content.slice(1) : content;
  const ranges: Range[] = [];
  for (let index = 0; index < members.length; index++) {
    const from = members[index] ?? "";
    const to = members[index + 1] === "-" ? members[index + 2] : undefined;
    ranges.push([codePoint(from), codePoint(to ?? from)]);
    if (to === undefined) continue;
    if (codePoint(from) > codePoint(to)) throw new SyntaxError(`has the range ${from}-${to}, whose end is before it`);
    index += 2;
  }
  return { kind: "set", excluded, ranges };
}

/**
 * Whether a name matches as a whole. Where characters do not fit, only the latest star takes one more: an earlier one
 * need not, since whatever it could take the latest can. So there are at most as many steps as characters of the name
 * times tokens (ranges of sets counted one by one), whatever the pattern.
 */
export function matchesName(pattern: NamePattern, characters: readonly string[], work: Work): boolean {
  let token = 0;
  let position = 0;
  let afterStar = -1;
  let taken = 0;
  while (position < characters.length) {
    const current = pattern[token];
    work.steps++;
    if (current?.kind === "star") {
      afterStar = ++token;
      taken = position;
    } else if (current !== undefined && accepts(current, characters[position] ?? "", work)) {
      token++;
      position++;
    } else if (afterStar !== -1) {
      token = afterStar;
      position = ++taken;
    } else {
      return false;
    }
  }
  while (pattern[token]?.kind === "star") token++;
  return token === pattern.length;
}

function accepts(token: Exclude<Token, { kind: "star" }>, character: string, work: Work): boolean {
  switch (token.kind) {
    case "any":
      return true;
    case "character":
      return token.character === character;
    case "set": {
      work.steps += token.ranges.length;
      const point = codePoint(character);
      return token.ranges.some(([first, last]) => first <= point && point <= last) !== token.excluded;
    }
    default:
      return token satisfies never;
  }
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0;
}
