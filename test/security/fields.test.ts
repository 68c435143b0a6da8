/** What no field takes, whichever route it is of: found by walking the schemas, so that a new field is tried as well. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as z from "zod";
import { type RunningApi, startApi } from "../support/api.ts";
import { startRedis } from "../support/redis.ts";
import { leavesOf, type SchemaLeaf } from "../support/schema-leaves.ts";

/** Numbers that may be 0; no other one may. */
const MAY_BE_ZERO = new Set(["points", "tolerance", "absolute", "relative", "retryFailed"]);

/** Text that is content, and languages, which are looked up in a table, may have a NUL. Names, words and paths may not. */
const MAY_HAVE_NUL = new Set(["source", "content", "stdin", "expected", "language"]);

const resources = new AsyncDisposableStack();
let api: RunningApi;
beforeAll(async () => {
  const redis = await startRedis();
  resources.defer(() => redis.stop());
  api = resources.use(await startApi(redis.url));
});
afterAll(() => resources.disposeAsync());

interface Body {
  readonly path: string;
  readonly schema: z.core.$ZodType;
}

/** Routes that take JSON. */
function bodies(): Body[] {
  return api.api.routes.flatMap(({ path, operation }): Body[] => {
    const content = operation.requestBody;
    const schema =
      content !== undefined && "content" in content ? content.content["application/json"]?.schema : undefined;
    return schema === undefined ? [] : [{ path, schema: schema as z.core.$ZodType }];
  });
}

/** Stands where text of JSON shall be that no value has: numbers without end, half a character. */
const RAW = "text to be exchanged";

/** Where the API finds fault with a body that has this text in a field. */
async function faultsOf(path: string, leaf: SchemaLeaf, json: string): Promise<readonly string[]> {
  const body = JSON.stringify(leaf.embed(RAW)).replace(JSON.stringify(RAW), json);
  const headers = { "content-type": "application/json" };
  const response = await api.fetch(path, { method: "POST", headers, body });
  const answer = (await response.json()) as { error?: { code: string; details?: readonly { path: string }[] } };
  expect([body, response.status]).toEqual([body, response.status < 500 ? response.status : 400]);
  return answer.error?.details?.map((detail) => detail.path) ?? [];
}

/** Fields that take what they should not. */
async function takers(kind: SchemaLeaf["kind"], texts: readonly string[], except: ReadonlySet<string> = new Set()) {
  const found: string[] = [];
  let tried = 0;
  for (const { path, schema } of bodies()) {
    for (const leaf of leavesOf(schema)) {
      const name = /\w+$/.exec(leaf.path.replaceAll(/\[\d+\]/g, ""))?.[0] ?? "";
      if (leaf.kind !== kind || except.has(name)) continue;
      for (const text of texts) {
        tried++;
        // The fault may be named at the value that holds the field, where that could have been of another form.
        const faults = await faultsOf(path, leaf, text);
        const isNamed = faults.some((fault) => fault !== "" && (leaf.path === fault || leaf.path.startsWith(fault)));
        if (!isNamed)
          found.push(`${path}: ${leaf.path} takes ${text}, and ${faults.join(", ") || "nothing"} is at fault`);
      }
    }
  }
  expect(tried).toBeGreaterThan(texts.length * 3);
  return found;
}

describe("no field", () => {
  test("that is a number takes one that is none, negative, without end or beyond all measure", async () => {
    const numbers = ["-1", "-0.5", "-1e-9", "1e308", "1e999", "-1e999", "18446744073709551616", "9007199254740993e3"];
    expect(await takers("number", [...numbers, '"1"', '"NaN"', "null", "true", "[1]", "{}"])).toEqual([]);
  });

  test("that is a number takes zero, but where that is meant", async () => {
    expect(await takers("number", ["0", "-0", "0.0"], MAY_BE_ZERO)).toEqual([]);
  });

  test("takes half a character: it would be another one when it arrives", async () => {
    expect(await takers("string", ['"\\ud800"', '"a\\udfffb"'])).toEqual([]);
  });

  test("takes a NUL but where text is content", async () => {
    expect(await takers("string", ['"\\u0000"', '"a\\u0000b"'], MAY_HAVE_NUL)).toEqual([]);
  });

  test("that is text is too much for the API, whatever it holds: it takes that or says what is wrong with it", async () => {
    const texts = [
      "\n",
      "a\nb",
      "\r\nX-A: b",
      "'",
      '"',
      "\\",
      "`id`",
      "$(id)",
      "%s%n",
      "{}",
      "\u001b[2J",
      "\u2028",
      "\u{1F600}",
      "*",
    ];
    const unexplained: string[] = [];
    for (const { path, schema } of bodies()) {
      for (const leaf of leavesOf(schema).filter(({ kind }) => kind === "string")) {
        for (const text of texts) {
          const headers = { "content-type": "application/json" };
          const response = await api.fetch(path, { method: "POST", headers, body: JSON.stringify(leaf.embed(text)) });
          const answer = (await response.json()) as { id?: string; error?: { code: string; message: string } };
          const isAnswer = response.ok ? answer.id !== undefined : response.status < 500 && answer.error !== undefined;
          if (!isAnswer) unexplained.push(`${path}: ${leaf.path} ${JSON.stringify(text)}: ${response.status}`);
        }
      }
    }
    expect(unexplained).toEqual([]);
  });

  test("takes bytes that are no UTF-8: they would be other ones when they arrive", async () => {
    const mark = Buffer.from(RAW);
    const taken: string[] = [];
    for (const { path, schema } of bodies()) {
      for (const leaf of leavesOf(schema).filter(({ kind }) => kind === "string")) {
        const text = Buffer.from(JSON.stringify(leaf.embed(RAW)));
        const at = text.indexOf(mark);
        // Of half a character, of one too long, of half a surrogate pair, and of none.
        for (const bytes of ["c3", "c0af", "eda080", "f4908080", "ff"]) {
          const body = Buffer.concat([
            text.subarray(0, at),
            Buffer.from(bytes, "hex"),
            text.subarray(at + mark.length),
          ]);
          const headers = { "content-type": "application/json" };
          const response = await api.fetch(path, { method: "POST", headers, body });
          const answer = (await response.json()) as { error?: { code: string } };
          if (answer.error?.code !== "invalid_json") taken.push(`${path}: ${leaf.path} takes ${bytes}`);
        }
      }
    }
    expect(taken).toEqual([]);
  });

  test("takes another type than its own", async () => {
    expect(await takers("string", ["1", "true", "[[]]"])).toEqual([]);
    expect(await takers("boolean", ["1", '"true"', "null", "[]"])).toEqual([]);
    expect(await takers("choice", ["1", '"other"', "null", "[]", '"__proto__"'])).toEqual([]);
  });
});

describe("NaN and Infinity", () => {
  test.each(["NaN", "Infinity", "-Infinity", "0x10", "01", "1_000", ".5"])(
    "written as %s are no JSON",
    async (text) => {
      const body = `{"language":"bash","limits":{"cpus":${text}}}`;
      const headers = { "content-type": "application/json" };
      const response = await api.fetch("/v1/jobs", { method: "POST", headers, body });
      expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "invalid_json" } }]);
    },
  );
});

describe("a query", () => {
  const hostile = [
    "-1",
    "NaN",
    "Infinity",
    "1e3",
    "0x1",
    "61",
    "99999999999",
    "",
    " 1",
    "1;2",
    "a",
    "%00",
    "%ff",
    "%F0%9F",
  ];

  test("that is no number of seconds is refused, and waits for nothing", async () => {
    for (const text of hostile) {
      const response = await api.fetch(`/v1/jobs/${crypto.randomUUID()}?wait=${text}`);
      expect([text, response.status]).toEqual([text, 400]);
    }
  });

  test("that is said twice, or as a list or an object, is refused", async () => {
    for (const query of ["wait=1&wait=2", "wait[]=1", "wait[a]=1", "wait=1&__proto__=1", "other=1"]) {
      const response = await api.fetch(`/v1/jobs/${crypto.randomUUID()}?${query}`);
      expect([query, response.status]).toEqual([query, 400]);
    }
  });
});
