/** How the text after a keyword is taken apart. */

/** Removes what continues lines: the escapes at their ends, and the comments and empty lines between. */
export function joinLines(text: string, escape: string): string {
  const [first = "", ...others] = text.split("\n");
  const lines = [first, ...others.filter((line) => !/^\s*(?:#.*)?$/.test(line))];
  return lines
    .map((line) => {
      const trimmed = line.trimEnd();
      return trimmed.endsWith(escape) ? trimmed.slice(0, -escape.length) : line;
    })
    .join("");
}

/**
 * The strings of a JSON array, which selects the exec form.
 * @returns undefined when the text is anything else: it is then a shell's, or a list of words
 */
export function parseExecForm(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((word) => typeof word === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Words between white space; quotes do not hold them together. */
export function splitWords(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** Words between white space that is neither quoted nor escaped. Quotes and escapes are kept. */
export function splitQuotedWords(text: string, escape: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quote === "" && /\s/.test(character)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += character;
    if (character === escape && quote !== "'") word += text.charAt(++index);
    else if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = "";
  }
  if (word !== "") words.push(word);
  return words;
}
