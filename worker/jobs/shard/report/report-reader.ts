/**
 * JUnit's XML, which has no specification: what is read is what pytest, vitest, jest-junit, node:test, go-junit-report,
 * gotestsum, GoogleTest, Surefire, PHPUnit and Playwright write.
 *
 *   testsuites? > testsuite* > testcase > failure | error | skipped       how it ended
 *                                       > rerunFailure | rerunError       and again, later (Surefire)
 *                                       > flakyFailure | flakyError       before it passed (Surefire)
 *                                       > system-out | system-err         what it printed
 *                                       > properties > property           what it says of itself, as suites do
 *
 * Tests write their report themselves, so it is as hostile as they are: entities that it declares are not known, and a
 * document of any size, depth or number of tests ends somewhere.
 */
import { SaxesParser, type SaxesTagPlain } from "saxes";
import { BoundedText } from "./bounded-text.ts";
import type { Failure, Property, SuiteFacts, TestCase, TestOutcome } from "./test-case.ts";
import { replaceForbidden } from "./xml-characters.ts";

export interface ReportBounds {
  /** Of the document. */
  readonly bytes: number;
  readonly tests: number;
  /**
   * Of all tests together, as they are kept: each has the names of the suites around it, so that a short document could
   * become a very long list.
   */
  readonly characters: number;
  /** Elements in one another. */
  readonly depth: number;
  /** Of one element. */
  readonly attributes: number;
  /** Of one test, and those of other times that it was run; further ones are left out. They may be empty, and millions. */
  readonly failures: number;
  /** Of one suite, or of one test; further ones are left out. */
  readonly properties: number;
  /** Of a failure's details, and of each of a test's streams, in UTF-16 code units. */
  readonly textCharacters: number;
  /** Of a name, or a message. */
  readonly nameCharacters: number;
}

/** The report is not what it has to be; the message says in what. */
export class ReportFault extends Error {
  override readonly name = "ReportFault";
}

type Attributes = Readonly<Record<string, string>>;

interface OpenFailure {
  readonly outcome: Failure["outcome"];
  readonly type: string;
  readonly message: string;
  readonly details: BoundedText;
}

interface OpenTest {
  readonly attributes: Attributes;
  readonly failures: OpenFailure[];
  /** Failures of other times that it was run, by `rerun…` or `flaky…`. */
  readonly reruns: OpenFailure[];
  skip: { readonly message: string; readonly details: BoundedText } | undefined;
  readonly systemOut: BoundedText;
  readonly systemErr: BoundedText;
  readonly properties: Property[];
}

interface OpenSuite {
  readonly name: string;
  readonly file: string | undefined;
  readonly timestamp: string | undefined;
  readonly hostname: string | undefined;
  readonly properties: Property[];
  hasTests: boolean;
}

/** An element that is open, and what follows from that for those in it. */
type Frame =
  | { readonly kind: "suite"; readonly suite: OpenSuite }
  | { readonly kind: "test"; readonly test: OpenTest }
  /** In a test: its text goes there, or nowhere. */
  | { readonly kind: "text"; readonly sink: BoundedText | undefined }
  | { readonly kind: "properties"; readonly properties: Property[] }
  | { readonly kind: "other" };

/** What an element takes by being there, in characters: they may be without any text, and millions. */
const ELEMENT_CHARACTERS = 64;

/** Takes a document piece by piece. Its methods throw a {@link ReportFault}; the tests before that stand. */
export class ReportReader {
  readonly tests: TestCase[] = [];
  readonly suites: SuiteFacts[] = [];
  readonly #bounds: ReportBounds;
  readonly #parser = new SaxesParser();
  readonly #frames: Frame[] = [];
  #characters = 0;
  #attributes = 0;

  constructor(bounds: ReportBounds) {
    this.#bounds = bounds;
    this.#parser.on("attribute", () => this.#countAttribute());
    this.#parser.on("opentag", (tag) => this.#open(tag));
    this.#parser.on("closetag", () => this.#close());
    const append = (text: string): void => {
      const top = this.#frames.at(-1);
      if (top?.kind === "text") top.sink?.append(text);
    };
    this.#parser.on("text", append);
    this.#parser.on("cdata", append);
    this.#parser.on("error", ({ message }) => {
      throw new ReportFault(`the report is not valid xml: ${message}`);
    });
  }

  /** Of tests and suites so far, as they are kept. */
  get characters(): number {
    return this.#characters;
  }

  write(text: string): void {
    this.#parser.write(replaceForbidden(text));
  }

  end(): void {
    this.#parser.close();
  }

  #countAttribute(): void {
    this.#attributes++;
    if (this.#attributes > this.#bounds.attributes) {
      throw new ReportFault(`an element of the report has more than ${this.#bounds.attributes} attributes`);
    }
  }

  #open({ name, attributes }: SaxesTagPlain): void {
    this.#attributes = 0;
    if (this.#frames.length === 0 && name !== "testsuites" && name !== "testsuite") {
      throw new ReportFault(`the report is no junit xml: it begins with <${this.#short(name)}>`);
    }
    if (this.#frames.length >= this.#bounds.depth) {
      throw new ReportFault(`the report has more than ${this.#bounds.depth} elements in one another`);
    }
    this.#frames.push(this.#frameOf(this.#frames.at(-1), name, attributes));
  }

  #frameOf(above: Frame | undefined, name: string, attributes: Attributes): Frame {
    switch (above?.kind) {
      case "test":
        if (name === "properties") return { kind: "properties", properties: above.test.properties };
        return { kind: "text", sink: this.#sinkIn(above.test, name, attributes) };
      case "text":
        // What was printed in a run that counts no more; anything else, such as a stack trace, belongs to the failure.
        return { kind: "text", sink: name.startsWith("system-") ? undefined : above.sink };
      case "properties":
        if (name === "property" && above.properties.length < this.#bounds.properties) {
          const property = { name: this.#short(attributes["name"]), value: this.#short(attributes["value"]) };
          above.properties.push(property);
        }
        return { kind: "other" };
      case "suite":
      case "other":
      case undefined:
        if (name === "testsuite") return { kind: "suite", suite: this.#beginSuite(attributes) };
        if (name === "testcase") return { kind: "test", test: this.#begin(attributes) };
        if (name === "properties" && above?.kind === "suite") {
          return { kind: "properties", properties: above.suite.properties };
        }
        return { kind: "other" };
      default:
        return above satisfies never;
    }
  }

  #begin(attributes: Attributes): OpenTest {
    if (this.tests.length >= this.#bounds.tests) {
      throw new ReportFault(`the report has more than ${this.#bounds.tests} tests`);
    }
    return {
      attributes,
      failures: [],
      reruns: [],
      skip: isSkipped(attributes) ? { message: "", details: this.#text() } : undefined,
      systemOut: this.#text(),
      systemErr: this.#text(),
      properties: [],
    };
  }

  #beginSuite(attributes: Attributes): OpenSuite {
    const short = (text: string | undefined): string | undefined =>
      text === undefined || text === "" ? undefined : this.#short(text);
    return {
      name: this.#short(attributes["name"]),
      file: fileOf(attributes),
      timestamp: short(attributes["timestamp"]),
      hostname: short(attributes["hostname"]),
      properties: [],
      hasTests: false,
    };
  }

  #sinkIn(test: OpenTest, name: string, attributes: Attributes): BoundedText | undefined {
    const message = this.#short(attributes["message"]);
    const details = this.#text();
    const fail = (list: OpenFailure[], outcome: Failure["outcome"]): BoundedText | undefined => {
      if (list.length >= this.#bounds.failures) return undefined;
      list.push({ outcome, type: this.#short(attributes["type"]), message, details });
      return details;
    };
    switch (name) {
      case "failure":
        return fail(test.failures, "failed");
      case "error":
        return fail(test.failures, "errored");
      case "flakyFailure":
      case "rerunFailure":
        return fail(test.reruns, "failed");
      case "flakyError":
      case "rerunError":
        return fail(test.reruns, "errored");
      case "skipped":
        test.skip = { message, details };
        return details;
      case "system-out":
        return test.systemOut;
      case "system-err":
        return test.systemErr;
      default:
        return undefined;
    }
  }

  #close(): void {
    const frame = this.#frames.pop();
    if (frame?.kind === "test") this.#keep(this.#finish(frame.test));
    else if (frame?.kind === "suite" && frame.suite.hasTests) this.#keepSuite([...this.#openSuites(), frame.suite]);
  }

  #keep(test: TestCase): void {
    this.#count(charactersOf(test));
    this.tests.push(test);
    const suite = this.#openSuites().at(-1);
    if (suite !== undefined) suite.hasTests = true;
  }

  /** What is said of a suite, and of those around it, unless it says so itself. */
  #keepSuite(suites: readonly OpenSuite[]): void {
    const timestamp = suites.findLast((suite) => suite.timestamp !== undefined)?.timestamp ?? null;
    const hostname = suites.findLast((suite) => suite.hostname !== undefined)?.hostname ?? null;
    const properties = suites.flatMap((suite) => suite.properties).slice(-this.#bounds.properties);
    if (timestamp === null && hostname === null && properties.length === 0) return;
    const facts = { name: this.#nameOf(suites), timestamp, hostname, properties };
    this.#count(ELEMENT_CHARACTERS + facts.name.length + charactersOfProperties(properties));
    this.suites.push(facts);
  }

  #count(characters: number): void {
    this.#characters += characters;
    if (this.#characters > this.#bounds.characters) {
      throw new ReportFault(`the tests of the report have more than ${this.#bounds.characters} characters`);
    }
  }

  #openSuites(): OpenSuite[] {
    return this.#frames.flatMap((frame) => (frame.kind === "suite" ? [frame.suite] : []));
  }

  #nameOf(suites: readonly OpenSuite[]): string {
    return this.#short(suites.map(({ name }) => name).join(" > "));
  }

  #finish({ attributes, failures, reruns, skip, systemOut, systemErr, properties }: OpenTest): TestCase {
    const suites = this.#openSuites();
    // GoogleTest has an element for each assertion of a test: one failure, for whoever counts tests.
    const [first, ...others] = failures;
    const main = first && {
      ...close(first),
      details: [first, ...others].map(({ details }) => String(details)).join("\n\n"),
    };
    const all = [...(main === undefined ? [] : [main]), ...reruns.map(close)];
    const failure = main === undefined ? undefined : all.pop();
    const outcome: TestOutcome = failure?.outcome ?? (skip === undefined ? "passed" : "skipped");
    return {
      suite: this.#nameOf(suites),
      classname: this.#short(attributes["classname"] ?? attributes["class"]),
      name: this.#short(attributes["name"]),
      file: this.#short(fileOf(attributes) ?? suites.findLast(({ file }) => file !== undefined)?.file) || null,
      line: lineOf(attributes["line"]),
      timeMs: millisecondsOf(attributes["time"]),
      outcome,
      failure: failure ?? null,
      earlierFailures: all,
      skipReason: outcome === "skipped" && skip !== undefined ? skip.message || this.#short(String(skip.details)) : "",
      systemOut: String(systemOut),
      systemErr: String(systemErr),
      properties,
    };
  }

  #text(): BoundedText {
    return new BoundedText(this.#bounds.textCharacters);
  }

  #short(text = ""): string {
    return text.length <= this.#bounds.nameCharacters
      ? text
      : `${text.slice(0, this.#bounds.nameCharacters - 1)}…`.toWellFormed();
  }
}

function charactersOf({ suite, classname, name, file, failure, earlierFailures, ...test }: TestCase): number {
  let characters = ELEMENT_CHARACTERS + charactersOfProperties(test.properties);
  for (const { type, message, details } of failure === null ? earlierFailures : [...earlierFailures, failure]) {
    characters += ELEMENT_CHARACTERS + type.length + message.length + details.length;
  }
  for (const text of [suite, classname, name, file ?? "", test.skipReason, test.systemOut, test.systemErr]) {
    characters += text.length;
  }
  return characters;
}

function charactersOfProperties(properties: readonly Property[]): number {
  return properties.reduce((sum, { name, value }) => sum + ELEMENT_CHARACTERS + name.length + value.length, 0);
}

function close({ details, ...failure }: OpenFailure): Failure {
  return { ...failure, details: String(details) };
}

/** GoogleTest says it in attributes. */
function isSkipped({ status, result }: Attributes): boolean {
  return status === "notrun" || status === "disabled" || result === "skipped" || result === "suppressed";
}

function fileOf({ file, filepath }: Attributes): string | undefined {
  return file ?? filepath;
}

/** pytest counts lines from 0, others from 1; nobody counts on it. */
function lineOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** No container lives as long: beyond, sums of them would become infinite, which neither JSON nor a split has a place for. */
const SECONDS_MAX = 1e6;

/** Seconds in decimals, with commas between thousands by Surefire. In whole microseconds, lest they become long numbers. */
function millisecondsOf(text = ""): number {
  const seconds = Number(text.replaceAll(",", ""));
  return Number.isFinite(seconds) && seconds > 0 ? Math.round(Math.min(seconds, SECONDS_MAX) * 1e6) / 1e3 : 0;
}
