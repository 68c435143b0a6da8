import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { ComparisonRule } from "../../../shared/judge-request.ts";
import { compareFiles, type ComparisonResult } from "../../../worker/jobs/judge/compare/compare-files.ts";
import { firstDifference } from "../../../worker/jobs/judge/compare/first-difference.ts";
import { isClose } from "../../../worker/jobs/judge/compare/floats.ts";
import { linesOf, tokensOf } from "../../../worker/jobs/judge/compare/pieces.ts";

const directory = mkdtempDisposableSync(join(tmpdir(), "longshore-compare-"));
afterAll(() => directory.remove());

function compare(rule: ComparisonRule, found: string | Buffer, wanted: string | Buffer): ComparisonResult {
  const [output, expected] = [join(directory.path, "output"), join(directory.path, "expected")];
  writeFileSync(output, found);
  writeFileSync(expected, wanted);
  return compareFiles({ output, expected, rule });
}

const verdict = (rule: ComparisonRule, found: string, wanted: string) => compare(rule, found, wanted).verdict;

describe("exact", () => {
  it.each([
    ["a\n", "a\n", "accepted"],
    ["", "", "accepted"],
    ["a", "a\n", "presentation_error"],
    ["a  b\n", "a b\n", "presentation_error"],
    ["a\nc\n", "a\nb\n", "wrong_answer"],
    ["", "a", "wrong_answer"],
    ["a", "", "wrong_answer"],
  ])("says of %j, where %j is expected: %s", (found, wanted, expected) => {
    expect(verdict({ type: "exact" }, found, wanted)).toBe(expected);
  });

  it("finds one byte among millions, wherever the pieces are cut", () => {
    const wanted = Buffer.alloc(3_000_000, "0123456789\n");
    const found = Buffer.from(wanted);
    found[2_000_005] = 0x78;
    expect(compare({ type: "exact" }, wanted, wanted).verdict).toBe("accepted");
    expect(compare({ type: "exact" }, found, wanted)).toEqual({
      verdict: "wrong_answer",
      message: 'line 181819 is "0123456x89", expected "0123456789"'.replace("0123456x89", line(found)),
    });
  });

  it("shows a part of a long line in whole characters", () => {
    const [before, after] = ["汉".repeat(50), "字".repeat(50)];
    expect(compare({ type: "exact" }, `${before}a${after}`, `x${before}b${after}`).message).not.toContain("\uFFFD");
    const { message } = compare({ type: "exact" }, `${before}a${after}`, `${before}b${after}`);
    expect(message).toBe(
      `line 1 is "${"汉".repeat(13)}a${"字".repeat(13)}", expected "${"汉".repeat(13)}b${"字".repeat(13)}"`,
    );
  });

  it("shows where a line ends otherwise", () => {
    expect(compare({ type: "exact" }, "a", "a\n").message).toBe('line 1 is "a", expected "a\\n"');
    expect(compare({ type: "exact" }, "a\r\n", "a\n").message).toBe('line 1 is "a\\r", expected "a\\n"');
    expect(compare({ type: "lines" }, "\na", "a").message).toBe('line 1 is "\\n", expected "a"');
  });

  function line(found: Buffer): string {
    const begin = found.lastIndexOf("\n", 2_000_005) + 1;
    return found.subarray(begin, found.indexOf("\n", begin)).toString();
  }
});

describe("lines", () => {
  it.each([
    ["a  \nb\t\r\n\n\n", "a\nb", "accepted"],
    ["", "\n\n", "accepted"],
    ["a b\n", "a  b\n", "presentation_error"],
    [" a\n", "a\n", "presentation_error"],
    ["a\n\nb\n", "a\nb\n", "presentation_error"],
    ["a\nb\n", "a\nc\n", "wrong_answer"],
  ])("says of %j, where %j is expected: %s", (found, wanted, expected) => {
    expect(verdict({ type: "lines" }, found, wanted)).toBe(expected);
  });

  it("holds back no more white space than a piece of it, and still tells it apart", () => {
    const spaces = " ".repeat(200_000);
    expect(verdict({ type: "lines" }, `a${spaces}\nb`, "a\nb\n")).toBe("accepted");
    expect(verdict({ type: "lines" }, `a${spaces}b`, `a${spaces}b`)).toBe("accepted");
    expect(verdict({ type: "lines" }, `a${spaces}\tb`, `a${spaces} b`)).toBe("presentation_error");
    expect(verdict({ type: "lines" }, `a${"\n".repeat(200_000)}b`, `a${"\n".repeat(200_001)}b`)).toBe(
      "presentation_error",
    );
    expect(verdict({ type: "lines" }, `a${"\n".repeat(70_000)}b`, "a\n70000\nb")).toBe("wrong_answer");
  });

  it("has the same of white space and text around the ends of pieces, however long they are", () => {
    for (const spaces of [65_530, 65_536, 65_537, 131_072, 131_073, 200_000]) {
      const space = " ".repeat(spaces);
      const newlines = "\n".repeat(spaces);
      expect(
        verdict({ type: "lines" }, `a${space}b${newlines}c${space}\n${space}d`, `a${space}b${newlines}c\n${space}d`),
      ).toBe("accepted");
      expect(verdict({ type: "lines" }, `a${space}b`, `a${space} b`)).toBe("presentation_error");
    }
  });
});

describe("tokens", () => {
  it.each([
    ["a b", "  a\n\nb\t", "accepted"],
    ["", " \n", "accepted"],
    ["ab", "a b", "wrong_answer"],
    ["a", "a b", "wrong_answer"],
    ["a b", "a", "wrong_answer"],
  ])("says of %j, where %j is expected: %s", (found, wanted, expected) => {
    expect(verdict({ type: "tokens" }, found, wanted)).toBe(expected);
  });

  it("names the first token that is another one", () => {
    expect(compare({ type: "tokens" }, "1 2 3 5", "1 2 3 4").message).toBe('token 4 is "5", expected "4"');
    expect(compare({ type: "tokens" }, "1 2", "1 2 3").message).toBe('token 3 is nothing, expected "3"');
    expect(compare({ type: "tokens" }, "1\u00a0", "1").message).toBe('token 1 is "1\u00a0", expected "1"');
  });
});

describe("float", () => {
  const float = (changes: Partial<Extract<ComparisonRule, { type: "float" }>> = {}) =>
    ({ type: "float", tolerance: 1e-6, ...changes }) as const;

  it.each([
    ["0.3000001", "0.3", "accepted"],
    ["0.30001", "0.3", "wrong_answer"],
    ["1000000.5", "1000000", "accepted"],
    ["1 2", "1.0 2.0000000", "accepted"],
    ["-1e3", "-1000", "accepted"],
    ["YES 1", "YES 1", "accepted"],
    ["yes 1", "YES 1", "wrong_answer"],
    ["nan", "1", "wrong_answer"],
    ["inf", "1e400", "wrong_answer"],
    ["1e400", "1e400", "accepted"],
    ["5", "1e400", "wrong_answer"],
    ["-1e400", "1e400", "wrong_answer"],
    ["-0", "0", "accepted"],
    ["0x10", "16", "wrong_answer"],
    ["1", "1 2", "wrong_answer"],
    ["", "", "accepted"],
  ])("says of %j, where %j is expected: %s", (found, wanted, expected) => {
    expect(verdict(float(), found, wanted)).toBe(expected);
  });

  it("takes the absolute and the relative tolerance apart", () => {
    expect(isClose("10.1", "10", { absolute: 0.2, relative: 0 })).toBe(true);
    expect(isClose("10.1", "10", { absolute: 0, relative: 0.02 })).toBe(true);
    expect(isClose("10.1", "10", { absolute: 0.05, relative: 0.005 })).toBe(false);
    expect(verdict(float({ absolute: 0, relative: 0 }), "1.0", "1")).toBe("accepted");
  });

  it("compares tokens that are too long to be numbers as they are, wherever the pieces are cut", () => {
    for (const length of [1024, 1025, 65_535, 65_536, 100_000]) {
      const long = "1".repeat(length);
      expect(verdict(float(), `1 ${long}`, `1.0 ${long}`)).toBe("accepted");
      expect(verdict(float(), `${long}a`, `${long}b`)).toBe("wrong_answer");
    }
  });

  it("names the first token that is too far away, as it was written", () => {
    expect(compare(float(), "1 ä", "1 ö").message).toBe('token 2 is "ä", expected "ö"');
    expect(compare(float(), "1", "1 2").message).toBe('token 2 is nothing, expected "2"');
    expect(compare(float(), "7".repeat(2000), "7").message).toMatch(
      /^token 1 is "7{40}\.\.\. \(sha256 [0-9a-f]{64}\)"/,
    );
  });
});

/** Text with much white space, cut into pieces somewhere. */
const cut = fc
  .array(fc.string({ unit: fc.constantFrom("a", "b", " ", "\t", "\n", "\r"), maxLength: 6 }), { maxLength: 8 })
  .map((parts) => parts.filter((part) => part !== "").map((part) => Buffer.from(part)));
const join_ = (pieces: Iterable<Buffer>) => Buffer.concat([...pieces].map((piece) => Buffer.from(piece))).toString();

describe("pieces", () => {
  it("have the tokens of the whole", () => {
    fc.assert(
      fc.property(cut, (pieces) => {
        const words = join_(pieces).split(/\s+/).filter(Boolean);
        expect(copied(tokensOf(pieces))).toBe(words.map((word) => `${word}\n`).join(""));
      }),
    );
  });

  it("have the lines of the whole, without the white space at their ends", () => {
    fc.assert(
      fc.property(cut, (pieces) => {
        const lines = join_(pieces)
          .split("\n")
          .map((text) => text.trimEnd());
        expect(copied(linesOf(pieces))).toBe(lines.join("\n").trimEnd());
      }),
    );
  });

  it("are as large as those that they are made of, whatever white space is in them", () => {
    const pieces = ["1 ", "1\n", "1 \n 2", "1    "].map((text) => Buffer.alloc(65_536, text));
    expect([...linesOf(pieces)]).toHaveLength(pieces.length);
    expect([...tokensOf(pieces)]).toHaveLength(pieces.length + 1);
  });

  it("are the same where the wholes are, however they are cut", () => {
    fc.assert(
      fc.property(cut, cut, (one, other) => {
        const isSame = join_(one) === join_(other);
        expect(firstDifference(one, other) === undefined).toBe(isSame);
      }),
    );
  });

  /** What is yielded does not last. */
  function copied(pieces: Iterable<Buffer>): string {
    let text = "";
    for (const piece of pieces) text += piece.toString();
    return text;
  }
});
