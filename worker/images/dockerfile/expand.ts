/**
 * Variables and quotes in the arguments of instructions, as the builder of Docker replaces them:
 *
 *   $name ${name}                        the value, or nothing
 *   ${name:-word} ${name-word}           word, where name is empty or unset (with `:`), or unset
 *   ${name:+word} ${name+word}           word, where it is not
 *   ${name:?message} ${name?message}     an error, where it is
 *   'text'                               text as it is
 *   "text"                               variables are replaced, white space is kept
 *   \c                                   c as it is
 */

/** The value of a variable; undefined where it is not set. */
export type Lookup = (name: string) => string | undefined;

/** Whether quotes and escapes mean something (in a word) or stand for themselves (in a document). */
export type QuoteHandling = "removed" | "kept";

/**
 * Replaces the variables of a word.
 * @param escape the Dockerfile's escape character
 * @throws {SyntaxError} when a quote or a brace is missing, or a form is unknown
 */
export function expand(text: string, escape: string, lookup: Lookup, quotes: QuoteHandling = "removed"): string {
  return new Expansion(text, escape, lookup, quotes).until("");
}

const NAME_START = /[A-Za-z_]/;
const NAME_PART = /[A-Za-z0-9_]/;

class Expansion {
  readonly #text: string;
  readonly #escape: string;
  readonly #lookup: Lookup;
  readonly #quotes: QuoteHandling;
  #position = 0;

  constructor(text: string, escape: string, lookup: Lookup, quotes: QuoteHandling) {
    this.#text = text;
    this.#escape = escape;
    this.#lookup = lookup;
    this.#quotes = quotes;
  }

  /** Expands up to an unquoted `end`, which is passed over; to the end of the text where it is empty. */
  until(end: string): string {
    let result = "";
    while (this.#position < this.#text.length) {
      const character = this.#next();
      if (character === end) return result;
      if (character === "$") result += this.#variable();
      else if (character === this.#escape) result += this.#escaped();
      else if (this.#quotes === "kept") result += character;
      else if (character === "'") result += this.#singleQuoted();
      else if (character === '"') result += this.#doubleQuoted();
      else result += character;
    }
    if (end !== "") throw new SyntaxError(`${end} is missing in ${this.#text}`);
    return result;
  }

  #next(): string {
    return this.#text.charAt(this.#position++);
  }

  /** At the very end an escape stands for itself. In a document it protects only what begins a variable. */
  #escaped(): string {
    if (this.#position === this.#text.length) return this.#escape;
    const character = this.#next();
    if (this.#quotes === "removed" || character === "$" || character === this.#escape) return character;
    return this.#escape + character;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#position);
    if (end < 0) throw new SyntaxError(`a closing ' is missing in ${this.#text}`);
    const content = this.#text.slice(this.#position, end);
    this.#position = end + 1;
    return content;
  }

  #doubleQuoted(): string {
    let result = "";
    while (this.#position < this.#text.length) {
      const character = this.#next();
      if (character === '"') return result;
      if (character === "$") result += this.#variable();
      else if (character === this.#escape) {
        const following = this.#next();
        result +=
          following === '"' || following === "$" || following === this.#escape ? following : this.#escape + following;
      } else result += character;
    }
    throw new SyntaxError(`a closing " is missing in ${this.#text}`);
  }

  #variable(): string {
    if (this.#text.charAt(this.#position) === "{") {
      this.#position++;
      return this.#braced();
    }
    const name = this.#name();
    return name === "" ? "$" : (this.#lookup(name) ?? "");
  }

  #name(): string {
    const start = this.#position;
    if (!NAME_START.test(this.#text.charAt(start))) return "";
    while (NAME_PART.test(this.#text.charAt(this.#position))) this.#position++;
    return this.#text.slice(start, this.#position);
  }

  #braced(): string {
    const name = this.#name();
    if (name === "") throw new SyntaxError(`\${ is not followed by a name in ${this.#text}`);
    const value = this.#lookup(name);
    let operator = this.#next();
    if (operator === "}") return value ?? "";
    if (operator === ":") operator += this.#next();
    const word = this.until("}");
    const isMissing = operator.startsWith(":") ? (value ?? "") === "" : value === undefined;
    switch (operator.at(-1)) {
      case "-":
        return isMissing ? word : (value ?? "");
      case "+":
        return isMissing ? "" : word;
      case "?":
        if (isMissing) throw new SyntaxError(`${name} is not set${word === "" ? "" : `: ${word}`}`);
        return value ?? "";
      default:
        throw new SyntaxError(`\${${name}${operator}…} is not supported: use :- :+ or :?`);
    }
  }
}
