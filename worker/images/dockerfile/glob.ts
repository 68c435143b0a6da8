/**
 * Patterns of COPY and ADD, by the rules of Go's filepath.Match, which the language refers to: `*` and `?` stand for
 * anything but a slash, names that begin with a dot included, `[a-z]` and `[^a]` for one character, `\` for the next.
 */

/** Whether a source holds a wildcard. */
export function isPattern(source: string): boolean {
  return /[*?[\\]/.test(source);
}

/**
 * The expression that matches a component.
 * @throws {SyntaxError} when a bracket is not closed
 */
export function componentExpression(pattern: string): RegExp {
  let source = "";
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern.charAt(index);
    if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "\\") source += RegExp.escape(pattern.charAt(++index));
    else if (character === "[") {
      const set = /^\[(\^?)((?:\\.|[^\]\\])+)\]/.exec(pattern.slice(index));
      if (set === null) throw new SyntaxError(`a closing ] is missing in ${pattern}`);
      const [whole, negation, content = ""] = set;
      source += `[${negation}${content.replaceAll(/[[^&|~]/g, String.raw`\$&`)}]`;
      index += whole.length - 1;
    } else source += RegExp.escape(character);
  }
  return new RegExp(`^${source}$`, "s");
}
