import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LongshoreError } from "../../../shared/errors.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { loadPresets, resolveRequest, type Presets } from "../../../shared/presets.ts";
import { parse, smallest } from "./request.ts";

const python = {
  language: "python",
  image: "python",
  fileName: "main.py",
  run: ["python3", "main.py"],
  version: ["python3", "--version"],
};

let directory = "";
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "longshore-presets-"))));
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, preset: unknown): void {
  mkdirSync(join(directory, name));
  writeFileSync(join(directory, name, "preset.json"), JSON.stringify(preset));
}

test("the presets of this repository are read", () => {
  const presets = loadPresets(join(import.meta.dirname, "../../../infra/images"));
  expect([...presets.keys()]).toEqual([
    "bash",
    "c",
    "cpp",
    "csharp",
    "go",
    "haskell",
    "java",
    "javascript",
    "lua",
    "ocaml",
    "pascal",
    "perl",
    "php",
    "python",
    "ruby",
    "rust",
    "sqlite",
  ]);
  expect([...presets.values()].filter(({ build }) => build !== undefined).map(({ language }) => language)).toEqual([
    "c",
    "cpp",
    "csharp",
    "go",
    "haskell",
    "java",
    "ocaml",
    "pascal",
    "rust",
  ]);
});

test("a folder without a preset is an image only", () => {
  mkdirSync(join(directory, "debian"));
  write("python", python);
  expect([...loadPresets(directory).keys()]).toEqual(["python"]);
});

test("a malformed preset is named with its file and field", () => {
  write("python", { ...python, run: "python3", fileName: "../main.py" });
  expect(() => loadPresets(directory)).toThrow(/python\/preset\.json is no preset(.|\n)*fileName(.|\n)*run/);
});

test("two presets of one language are refused", () => {
  write("a", python);
  write("b", python);
  expect(() => loadPresets(directory)).toThrow("language python has a preset already");
});

describe("a request", () => {
  let presets: Presets = new Map();
  beforeEach(() => {
    write("python", { ...python, limits: { processes: 7 } });
    presets = loadPresets(directory);
  });
  const resolve = (body: unknown): unknown => resolveRequest(parse(body), presets, defaultMaxima);

  test("gets the limits of its language", () => {
    expect(resolve({ language: "python", source: "" })).toMatchObject({ limits: { processes: 7, cpus: 1 } });
  });

  test("with an image gets the defaults", () => {
    expect(resolve(smallest)).toMatchObject({ limits: { processes: 64 } });
  });

  test("may bring the main file itself", () => {
    expect(resolve({ language: "python", files: [{ path: "main.py", content: "" }] })).toMatchObject({
      language: "python",
    });
  });

  test.each([
    ["an unknown language", { language: "cobol", source: "" }, "language"],
    ["no main file", { language: "python", files: [{ path: "other.py", content: "" }] }, "source"],
    ["two main files", { language: "python", source: "", files: [{ path: "main.py", content: "" }] }, "files[0].path"],
    [
      "a file below the main file",
      { language: "python", source: "", files: [{ path: "main.py/a", content: "" }] },
      "files[0].path",
    ],
  ])("with %s is refused", (_what, body, path) => {
    expect(() => resolve(body)).toThrow(LongshoreError);
    try {
      resolve(body);
    } catch (error) {
      expect(error).toMatchObject({ code: "invalid_request", details: [{ path }] });
    }
  });
});

test("files that do not fit the disk that the job asks for are refused before it is accepted", () => {
  const files = [{ path: "data", content: "x".repeat(100_000) }];
  const request = parse({ ...smallest, files, limits: { diskBytes: 65_536 } });
  expect(() => resolveRequest(request, new Map(), defaultMaxima)).toThrow(LongshoreError);
  const larger = parse({ ...smallest, files, limits: { diskBytes: 131_072 } });
  expect(resolveRequest(larger, new Map(), defaultMaxima).limits.diskBytes).toBe(131_072);
});
