import * as fc from "fast-check";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import { LongshoreError } from "../../../shared/errors.ts";
import { faultsOf, parse, smallest } from "./request.ts";

describe("what is filled up", () => {
  test("the smallest request gets every default", () => {
    expect(parse(smallest)).toEqual({
      kind: "run",
      image: "python",
      command: ["python3", "main.py"],
      files: [],
      stdin: "",
      arguments: [],
      environment: {},
      limits: {},
      outputs: [],
      rootfs: "writable",
      keepLayer: false,
      layers: [],
      volumes: [],
      priority: "normal",
    });
  });

  test("a file is utf8 and not executable unless it says otherwise", () => {
    expect(parse({ ...smallest, files: [{ path: "a", content: "x" }] }).files).toEqual([
      { path: "a", content: "x", encoding: "utf8", executable: false },
    ]);
  });

  test("naming the kind changes nothing", () => {
    expect(parse({ kind: "run", ...smallest })).toEqual(parse(smallest));
  });
});

test("what is written is kept only where something can be", () => {
  expect(parse({ ...smallest, keepLayer: true })).toMatchObject({ keepLayer: true });
  const faults = faultsOf({ ...smallest, keepLayer: true, rootfs: "readonly" });
  expect(faults).toEqual({ keepLayer: expect.stringMatching(/^needs a writable root/) });
});

describe("a layer", () => {
  const blob = `sha256:${"a".repeat(64)}`;
  const faultOf = (layer: Record<string, unknown>, rootfs = "writable") =>
    faultsOf({ ...smallest, rootfs, layers: [{ blob, at: "/data" }, layer] });

  test("is a blob and a path", () => {
    const layers = [{ blob, at: "/data/in" }];
    expect(parse({ ...smallest, layers })).toMatchObject({ layers });
  });

  test.each([
    [{ at: "/" }, "at", "is the root: name a directory below it"],
    [{ at: "data" }, "at", "is not absolute"],
    [{ at: "/a/../b" }, "at", "has .. as a component"],
    [{ at: "/proc" }, "at", "is at or below /proc, /sys or /dev, which are not for files"],
    [{ at: "/dev/shm/x" }, "at", "is at or below /proc, /sys or /dev, which are not for files"],
    [{ blob: "sha256:A" }, "blob", "is not the digest of a blob: sha256: and 64 lower-case hexadecimal digits"],
    [{ mode: "rw" }, "mode", "unknown field"],
  ])("is refused where it is %j", (fields, name, message) => {
    expect(faultOf({ blob, at: "/b", ...fields })).toEqual({ [`layers[1].${name}`]: message });
  });

  test.each(["/work", "/work/a", "/tmp"])(
    "is refused at %s under a read-only root, where it would be covered",
    (at) => {
      const message = "is covered by the empty /work and /tmp of a read-only root: use another directory";
      expect(faultOf({ blob, at }, "readonly")).toEqual({ "layers[1].at": message });
      expect(faultOf({ blob, at: "/workshop" }, "readonly")).toEqual({});
    },
  );
});

describe("unknown fields are refused by name", () => {
  test.each([
    ["at the top", { ...smallest, comand: [] }, "comand"],
    ["in limits", { ...smallest, limits: { cpuTime: 1 } }, "limits.cpuTime"],
    ["in a file", { ...smallest, files: [{ path: "a", content: "", mode: 0o755 }] }, "files[0].mode"],
    ["in stdin", { ...smallest, stdin: { content: "", encodings: "utf8" } }, "stdin.encodings"],
  ])("%s", (_where, body, path) => {
    expect(faultsOf(body)).toEqual({ [path]: "unknown field" });
  });

  test("__proto__ does not get through as a name of the environment", () => {
    expect(faultsOf(JSON.parse('{"image":"a","command":["b"],"environment":{"__proto__":"c"}}'))).toEqual({
      "environment.__proto__": "is not allowed as a name",
    });
    expect(Object.keys(faultsOf(JSON.parse('{"image":"a","command":["b"],"__proto__":{}}')))).toEqual(["__proto__"]);
  });

  test("every fault is named at once", () => {
    expect(Object.keys(faultsOf({ ...smallest, x: 1, rootfs: "rw", limits: { cpus: 0 }, priority: 3 }))).toEqual(
      expect.arrayContaining(["x", "rootfs", "limits.cpus", "priority"]),
    );
  });
});

describe("either a language, or an image", () => {
  test.each([
    [{}, ["language"]],
    [{ command: ["x"] }, ["image"]],
    [{ language: "python", image: "python" }, ["image"]],
    [{ language: "python", command: ["x"] }, ["command"]],
    [{ ...smallest, source: "x" }, ["source"]],
    [{ image: "python", command: [] }, ["command"]],
    [{ image: "python", command: [""] }, ["command"]],
    [{ image: "../etc", command: ["x"] }, ["image"]],
  ])("%j is at fault", (body, paths) => {
    expect(Object.keys(faultsOf(body))).toEqual(paths);
  });

  test("a language needs nothing else", () => {
    expect(faultsOf({ language: "python", source: "print(1)" })).toEqual({});
  });
});

describe("text", () => {
  test.each([
    ["a command", { ...smallest, command: ["a\0b"] }, "command[0]"],
    ["an argument", { ...smallest, arguments: ["ok", "a\0b"] }, "arguments[1]"],
    ["a variable", { ...smallest, environment: { A: "a\0b" } }, "environment.A"],
    ["a path", { ...smallest, files: [{ path: "a\0b", content: "" }] }, "files[0].path"],
  ])("a NUL in %s is refused", (_where, body, path) => {
    expect(Object.keys(faultsOf(body))).toEqual([path]);
  });

  test.each([
    ["source", { language: "c", source: "\ud800" }, "source"],
    ["stdin", { ...smallest, stdin: "a\udfff" }, "stdin"],
    ["a file", { ...smallest, files: [{ path: "a", content: "\ud800" }] }, "files[0].content"],
    ["an argument", { ...smallest, arguments: ["\ud800"] }, "arguments[0]"],
  ])("half a surrogate pair in %s is refused, since utf-8 cannot carry it", (_where, body, path) => {
    expect(Object.keys(faultsOf(body))).toEqual([path]);
  });

  test.each(["1A", "A-B", "", "Ä", "A=B"])("%j is no name of a variable", (name) => {
    expect(Object.keys(faultsOf({ ...smallest, environment: { [name]: "x" } }))).toHaveLength(1);
  });

  test("command, arguments and environment must fit what execve takes under every stack limit", () => {
    expect(faultsOf({ ...smallest, arguments: ["x".repeat(90_000)] })).toEqual({});
    expect(Object.keys(faultsOf({ ...smallest, arguments: ["x".repeat(100_000)] }))).toEqual(["arguments"]);
    expect(Object.keys(faultsOf({ ...smallest, environment: { A: "x".repeat(100_000) } }))).toEqual(["arguments"]);
  });
});

test("a PATH has a bounded number of directories to look for a program in", () => {
  expect(faultsOf({ ...smallest, environment: { PATH: ":".repeat(4096) } })).toEqual({});
  expect(faultsOf({ ...smallest, environment: { PATH: ":".repeat(4097) } })).toEqual({
    "environment.PATH": "is longer than 4096 bytes",
  });
});

describe("base64", () => {
  const withContent = (content: string): Record<string, string> =>
    faultsOf({
      ...smallest,
      files: [{ path: "a", content, encoding: "base64" }],
      stdin: { content, encoding: "base64" },
    });

  test.each(["", "AA==", "AAA=", "AAAA", "+/+/"])("%j is accepted", (content) => {
    expect(withContent(content)).toEqual({});
  });

  test.each(["A", "AA", "AA=", "AA==\n", "A A=", "-_-_", "AB==", "AA==AA==", "ä"])("%j is refused", (content) => {
    expect(Object.keys(withContent(content))).toEqual(["files[0].content", "stdin.content"]);
  });
});

describe("paths of files", () => {
  const fault = (...paths: string[]): Record<string, string> =>
    faultsOf({ ...smallest, files: paths.map((path) => ({ path, content: "" })) });

  test.each(["a", "a/b", "..a", "a..", "a/..b", "ä", ".hidden", "a b", "x".repeat(255), "a/".repeat(63) + "b"])(
    "%j is accepted",
    (path) => expect(fault(path)).toEqual({}),
  );

  test.each([
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "./a",
    "a/.",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "x".repeat(256),
    "a/".repeat(64) + "b",
  ])("%j is refused", (path) => expect(Object.keys(fault(path))).toEqual(["files[0].path"]));

  test("a path of 4096 bytes is counted in bytes, not in characters", () => {
    const path = `${`${"ä".repeat(127)}/`.repeat(16)}${"b".repeat(16)}`;
    expect(fault(path)).toEqual({});
    expect(fault(`${path}b`)).toEqual({ "files[0].path": "is longer than 4096 bytes" });
  });

  test("a path may be named once", () => {
    expect(fault("a", "b", "a")).toEqual({ "files[2].path": "a is named twice" });
  });

  test("a file cannot be another one's directory", () => {
    expect(fault("a/b/c", "a/b")).toEqual({ "files[0].path": "lies below a/b, which is named as a file" });
    expect(fault("a/b", "a/bc", "a/c")).toEqual({});
  });

  test("what is accepted stays below the working directory, whatever is tried", () => {
    const component = fc.constantFrom("..", ".", "", "a", "b", "\0", "c..", " ", "\\", "/");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(component).map((all) => all.join("/")),
          fc.string({ unit: "binary" }),
        ),
        (path) => {
          if (Object.keys(fault(path)).length > 0) return;
          const resolved = posix.resolve("/work", path);
          expect(resolved.startsWith("/work/")).toBe(true);
          expect(resolved).toBe(`/work/${path}`);
        },
      ),
    );
  });
});

describe("patterns of output files", () => {
  test.each(["a", "*", "**", "out/**/*.xml", "[a-z]?", "[!]]", "a}", "(1)", "a\\b", "[{]", "+", "a!b"])(
    "%j is accepted",
    (pattern) => expect(faultsOf({ ...smallest, outputs: [pattern] })).toEqual({}),
  );

  test.each([
    ["{a,b}", "has {, which is not supported: name every alternative, or write [{] for the character"],
    ["{1..100000}", "has {, which is not supported: name every alternative, or write [{] for the character"],
    ...["!", "?", "*", "+", "@"].map((sign) => [
      `x/${sign}(a|b)`,
      `has ${sign}(, which is not supported: write [(] for the character`,
    ]),
    ["[a", "has a [ without its ]: write [[] for the character"],
    ["[]", "has a [ without its ]: write [[] for the character"],
    ["[a/b]", "has a [ without its ]: write [[] for the character"],
    ["[^a]", "has [^, which is not supported: write [! for all but those"],
    ["[[:alpha:]]", "has a class as in [[:alpha:]], which is not supported: write ranges as in [a-z]"],
    ["[z-a]", "has the range z-a, whose end is before it"],
    ["../*", "has .. as a component"],
    ["*/".repeat(64) + "a", "has more than 64 components"],
  ])("%j is refused: it %s", (pattern, fault) => {
    expect(faultsOf({ ...smallest, outputs: [pattern] })).toEqual({ "outputs[0]": fault });
  });
});

describe("the working directory", () => {
  test.each(["/", "/work", "/a/b"])("%j is accepted", (path) => {
    expect(faultsOf({ ...smallest, workingDirectory: path })).toEqual({});
  });

  test.each(["/procedure", "/sysroot", "/developer/proc"])("%j is accepted", (path) => {
    expect(faultsOf({ ...smallest, workingDirectory: path })).toEqual({});
  });

  test.each(["/proc", "/proc/self", "/dev/shm", "/sys/x"])("%j is refused: a mount would hide it", (path) => {
    expect(faultsOf({ ...smallest, workingDirectory: path })).toEqual({
      workingDirectory: "is at or below /proc, /sys or /dev, which are not for files: use /work or another directory",
    });
  });

  test.each(["", "work", "/work/", "//work", "/a/../b", "/./a", "/a\0"])("%j is refused", (path) => {
    expect(Object.keys(faultsOf({ ...smallest, workingDirectory: path }))).toEqual(["workingDirectory"]);
  });
});

describe("numbers of things", () => {
  const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `a${index}`);

  test.each([
    ["files", { files: many(1025).map((path) => ({ path, content: "" })) }],
    ["outputs", { outputs: many(65) }],
    ["arguments", { arguments: many(1025) }],
    ["environment", { environment: Object.fromEntries(many(257).map((name) => [name, ""])) }],
  ])("%s are bounded", (field, part) => {
    expect(Object.keys(faultsOf({ ...smallest, ...part }))).toEqual([field]);
  });
});

test("no JSON makes anything but a request or a fault with a path", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      expect(["request", "fault"]).toContain(judge(body));
    }),
  );
});

test("no value in the place of a field makes anything but a request or a fault with a path", () => {
  const field = fc.constantFrom(...Object.keys(parse(smallest)), "language", "source");
  fc.assert(
    fc.property(field, fc.jsonValue(), (name, value) => {
      expect(["request", "fault"]).toContain(judge({ ...smallest, [name]: value }));
    }),
    { numRuns: 500 },
  );
});

/** Says what a body is taken for; an error that no client should see is told as it is. */
function judge(body: unknown): string {
  try {
    return parse(body).kind === "run" ? "request" : "no kind";
  } catch (error) {
    const isFault = error instanceof LongshoreError && error.code === "invalid_request" && error.details.length > 0;
    return isFault ? "fault" : String(error);
  }
}

describe("a read-only root", () => {
  const files = [{ path: "in.txt", content: "" }];

  test.each(["/work", "/work/below"])("takes files in %s", (workingDirectory) => {
    expect(faultsOf({ ...smallest, rootfs: "readonly", files, workingDirectory })).toEqual({});
  });

  test.each(["/", "/tmp", "/workshop"])("takes none in %s", (workingDirectory) => {
    const request = { ...smallest, rootfs: "readonly", files, workingDirectory };
    expect(Object.keys(faultsOf(request))).toEqual(["workingDirectory"]);
    expect(faultsOf({ ...request, files: [] })).toEqual({});
    expect(faultsOf({ ...request, rootfs: "writable" })).toEqual({});
  });
});
