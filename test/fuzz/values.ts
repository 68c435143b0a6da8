/** Values as somebody would send them who wants to break what reads them. */
import * as fc from "fast-check";

/** What means something to a shell, a path, a URL, a header, a terminal, JavaScript, or an encoder. */
const TOKENS = [
  ...["", " ", "\0", "\n", "\r\n", "\t", "\u001b[2J", "\u007f", "\u0085", "\u2028", "\u202e", "\ufeff"],
  ...["\ud800", "\udfff", "\u{10ffff}", "e\u0301", "\u00e9", "ﬀ", "İ"],
  ...["'", '"', "`", "\\", "$", "${HOME}", "$(id)", "`id`", ";", "|", "&", "<", ">", "#", "!", "~", "*", "?", "[", "]"],
  ...["[!", "[a-", "**", "{", "}", "{a,b}", "(", ")", "%", "%00", "%2e%2e%2f", "%s%n", "+", "-", "--", "-rf", "="],
  ...[".", "..", "/", "//", "./", "../", "../../etc/passwd", "/etc/shadow", "/proc/self/environ", "C:\\", "file://"],
  ...["http://127.0.0.1/", "@", ":", "::1", "0", "-1", "1e309", "NaN", "null", "true", "__proto__", "constructor"],
  ...["toString", "sha256:", `sha256:${"a".repeat(64)}`, "a".repeat(256), "x/".repeat(70), "9".repeat(400)],
] as const;

/** Text of whatever characters, NUL and halves of surrogate pairs included. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TOKENS) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 40 }) },
  {
    weight: 3,
    arbitrary: fc
      .array(fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 6 })), { maxLength: 6 })
      .map((parts) => parts.join("")),
  },
);

export const hostileNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, -0, -1, 1, 0.5, 1e-9, 1e308, -1e308, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64),
  fc.integer(),
  fc.double(),
);

/** Anything that JSON can say, and numbers that it cannot. */
export const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  hostileNumber,
  fc.constantFrom(null, true, false),
  fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      hostileText,
      hostileNumber,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(hostileText, tie("value"), { maxKeys: 4 }),
    ),
  })).value,
);

type Path = readonly (string | number)[];

/** The value with one to four of its parts exchanged, removed or joined by others. */
export function mutationsOf(base: unknown): fc.Arbitrary<unknown> {
  const change = fc.record({
    path: fc.constantFrom(...pathsOf(base)),
    kind: fc.constantFrom("exchange", "remove", "join"),
    name: hostileText,
    value: anyValue,
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const holder: { value: unknown } = { value: structuredClone(base) };
    for (const { path, kind, name, value } of changes) {
      const parent = path.slice(0, -1).reduce<unknown>((at, key) => at && Reflect.get(Object(at), key), holder);
      const key = path.at(-1) ?? "value";
      if (typeof parent !== "object" || parent === null) continue;
      if (kind === "exchange") define(parent, key, value);
      else if (kind === "remove") Reflect.deleteProperty(parent, key);
      else define(parent, Array.isArray(parent) ? parent.length : name, value);
    }
    return holder.value;
  });
}

/** As JSON.parse does it: `__proto__` is a name like any other. */
function define(object: object, key: string | number, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function pathsOf(value: unknown, path: Path = ["value"]): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, key]))];
}

/** Bytes of which some are exchanged, and the end may be missing. */
export function damaged(bytes: Buffer): fc.Arbitrary<Buffer> {
  const exchange = fc.tuple(fc.nat(Math.max(0, bytes.length - 1)), fc.nat(255));
  return fc
    .record({ exchanges: fc.array(exchange, { maxLength: 12 }), kept: fc.nat(bytes.length), cut: fc.boolean() })
    .map(({ exchanges, kept, cut }) => {
      const copy = Buffer.from(bytes);
      for (const [offset, byte] of exchanges) copy[offset] = byte;
      return cut ? copy.subarray(0, kept) : copy;
    });
}
