/** What a registry says that it wants to see: the header `WWW-Authenticate` (RFC 9110, section 11.6.1). */

/** One way to authenticate. */
export interface Challenge {
  /** Lower case, such as `basic` or `bearer`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;
const SEPARATORS = /[ \t,]*/y;

/**
 * Reads a header that may hold several challenges, whose parameters are separated by the same commas as they are.
 * What cannot be understood ends the list: challenges before it count.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let position = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    const match = pattern.exec(header);
    if (match !== null) position = pattern.lastIndex;
    return match;
  };

  for (take(SEPARATORS); position < header.length; take(SEPARATORS)) {
    const scheme = take(TOKEN)?.[0];
    if (scheme === undefined) break;
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    for (;;) {
      const before = position;
      take(SEPARATORS);
      const parameter = take(PARAMETER);
      if (parameter === null) {
        position = before;
        break;
      }
      const [, name = "", quoted, plain = ""] = parameter;
      parameters.set(name.toLowerCase(), quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, "$1"));
    }
  }
  return challenges;
}
