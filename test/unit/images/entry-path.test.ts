import { posix } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEntryPath, parseLinkTarget } from "../../../worker/images/unpack/entry-path.ts";
import { LayerRefusal } from "../../../worker/images/unpack/refusal.ts";

describe("the path of an entry", () => {
  it.each([
    ["usr/bin/env", { kind: "file", parent: ["usr", "bin"], name: "env" }],
    ["./usr//bin/./env/", { kind: "file", parent: ["usr", "bin"], name: "env" }],
    ["usr/bin/.wh.env", { kind: "whiteout", parent: ["usr", "bin"], name: "env" }],
    ["usr/.wh..wh..opq", { kind: "opaque", parent: ["usr"] }],
    [".wh.x", { kind: "whiteout", parent: [], name: "x" }],
    [".wh...x", { kind: "whiteout", parent: [], name: "..x" }],
    [".whx", { kind: "file", parent: [], name: ".whx" }],
    ["a/..b/c..", { kind: "file", parent: ["a", "..b"], name: "c.." }],
    ["./", { kind: "root" }],
    [".", { kind: "root" }],
    ["/", { kind: "root" }],
  ])("%j means %j", (name, path) => {
    expect(parseEntryPath(name)).toEqual(path);
  });

  it.each([
    ["", /no name/],
    ["..", /leads up/],
    ["a/../../etc/passwd", /leads up/],
    ["a/..", /leads up/],
    ["/etc/passwd", /absolute/],
    ["a\0b", /NUL/],
    ["x".repeat(256), /longer than 255/],
    [`${"x".repeat(256)}/y`, /longer than 255/],
    ["x/".repeat(2048), /longer than 4095/],
    ["x/".repeat(257), /deeper than 256/],
    [".wh.", /whiteout of nothing/],
    ["a/.wh..", /whiteout of nothing/],
    ["a/.wh...", /whiteout of nothing/],
    [".wh..wh.", /whiteout of a whiteout/],
    [".wh..wh.plnk", /whiteout of a whiteout/],
    [".wh.a/b", /inside of a whiteout/],
    [".wh..wh..opq/b", /inside of a whiteout/],
  ])("%j is refused", (name, reason) => {
    expect(() => parseEntryPath(name)).toThrow(LayerRefusal);
    expect(() => parseEntryPath(name)).toThrow(reason);
  });

  it("never leads out of the layer, nor to a name that the kernel would take for something else", () => {
    const component = fc.oneof(fc.constantFrom("", ".", "..", ".wh.", ".wh..wh..opq", "\0", "..."), fc.string());
    const path = fc.array(component, { maxLength: 8 }).map((components) => components.join("/"));
    const property = fc.property(fc.oneof(path, fc.string()), (name) => {
      let parsed;
      try {
        parsed = parseEntryPath(name);
      } catch (error) {
        expect(error).toBeInstanceOf(LayerRefusal);
        return;
      }
      const components = parsed.kind === "root" ? [] : [...parsed.parent, ...("name" in parsed ? [parsed.name] : [])];
      for (const each of components) {
        expect(["", ".", ".."]).not.toContain(each);
        expect(each).not.toMatch(/[/\0]/);
      }
      if (parsed.kind === "file") expect(posix.resolve("/", name)).toBe(`/${components.join("/")}`);
    });
    fc.assert(property, { numRuns: 5000 });
  });
});

describe("the target of a hard link", () => {
  it("is a path of a file within the layer", () => {
    expect(parseLinkTarget("./a/b")).toEqual({ kind: "file", parent: ["a"], name: "b" });
    for (const target of ["", "..", "../a", "/etc/shadow", ".", ".wh.a", "a/.wh..wh..opq"])
      expect(() => parseLinkTarget(target), target).toThrow(LayerRefusal);
  });
});
