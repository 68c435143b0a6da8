import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatReference, namesOf, parseReference } from "../../../shared/image-reference.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}` as const;

describe("a reference", () => {
  it.each([
    ["python", "docker.io/library/python:latest"],
    ["python:3.13-slim", "docker.io/library/python:3.13-slim"],
    ["grafana/grafana", "docker.io/grafana/grafana:latest"],
    ["docker.io/python", "docker.io/library/python:latest"],
    ["index.docker.io/python", "docker.io/library/python:latest"],
    ["ghcr.io/owner/deep/name:v1", "ghcr.io/owner/deep/name:v1"],
    ["localhost/a", "localhost/a:latest"],
    ["localhost:5000/a", "localhost:5000/a:latest"],
    ["127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"],
    ["[::1]:5000/a", "[::1]:5000/a:latest"],
    ["registry:5000/a", "registry:5000/a:latest"],
    ["GHCR.io/a", "ghcr.io/a:latest"],
    ["a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest"],
    [`python@${digest}`, `docker.io/library/python@${digest}`],
    [`ghcr.io/a:1@${digest}`, `ghcr.io/a@${digest}`],
    ["python:5000", "docker.io/library/python:5000"],
  ])("%s is %s", (text, canonical) => {
    expect(formatReference(parseReference(text))).toBe(canonical);
  });

  it.each([
    ["", /empty/],
    ["a".repeat(64), /image id/],
    ["http://localhost/a", /without a protocol/],
    ["https://user:pw@host/a", /without a protocol/],
    ["user:pw@host/a", /digest/],
    ["a@b@c", /more than one @/],
    ["python@sha256:abc", /digest/],
    [`python@sha512:${"a".repeat(128)}`, /digest/],
    ["Python", /lower case/],
    ["localhost:5000/Python", /lower case/],
    ["localhost:5000/", /no repository/],
    ["localhost:99999/a", /port/],
    ["localhost:0/a", /port/],
    ["localhost:/a", /registry/],
    ["a.b/../etc/passwd", /repository/],
    ["a.b//c", /repository/],
    ["../a", /registry/],
    ["./a", /registry/],
    ["/a", /repository/],
    ["a..b/c", /not a host name/],
    ["-a.b/c", /not a host name/],
    ["a/b?c=d", /repository/],
    ["a/b#c", /repository/],
    ["a b", /repository/],
    ["a\\b", /repository/],
    ["a%2e%2e/b", /repository/],
    ["python:", /tag/],
    ["python:-x", /tag/],
    [`python:${"a".repeat(129)}`, /tag/],
    ["a/".repeat(500), /too long/],
    [`${"a/".repeat(128)}a`, /longer than 255/],
    ["ёlocal.host/a", /registry/],
    ["Owner/a", /write it with its port/],
    // Spellings that URL parsers take for 127.0.0.1 and for the addresses of clouds' metadata.
    ["127.1/a", /not written as/],
    ["0x7f.0.0.1/a", /not written as/],
    ["0177.0.0.1/a", /not written as/],
    ["2130706433:80/a", /not written as/],
    ["169.254.43518/a", /not written as/],
    ["[0:0:0:0:0:0:0:1]:80/a", /not written as/],
    ["[::ffff:127.0.0.1]/a", /not written as/],
  ])("%s is refused", (text, reason) => {
    expect(() => parseReference(text)).toThrow(reason);
  });

  it("comes back from its canonical form unchanged", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    const component = fc
      .array(word, { minLength: 1, maxLength: 3 })
      .chain((words) => fc.constantFrom(".", "_", "__", "-", "---").map((separator) => words.join(separator)));
    const registry = fc.oneof(
      fc.constantFrom("docker.io", "localhost", "ghcr.io", "[::1]:5000"),
      fc.ipV4(),
      fc.tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host.toLowerCase()}:${port}`),
    );
    const suffix = fc.oneof(
      fc.stringMatching(/^\w[\w.-]{0,20}$/).map((tag) => `:${tag}`),
      fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `@sha256:${hex}`),
    );
    fc.assert(
      fc.property(registry, fc.array(component, { minLength: 2, maxLength: 4 }), suffix, (host, path, end) => {
        const text = `${host}/${path.join("/")}${end}`;
        expect(formatReference(parseReference(text))).toBe(text);
      }),
    );
  });

  it("of any text leads to the host that it shows, on no other path than the repository's, or is refused", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary-ascii", maxLength: 6 }),
      fc.constantFrom(
        "/",
        "//",
        "..",
        "@",
        ":",
        "%2f",
        "\\",
        "[::1]",
        "localhost",
        "127.1",
        "a.b",
        ":80",
        "?",
        "#",
        "x",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("");
        let reference;
        try {
          reference = parseReference(text);
        } catch (error) {
          expect(error).toMatchObject({ name: "ReferenceError" });
          return;
        }
        const url = new URL(`http://${reference.registry}/v2/${reference.repository}/manifests/${reference.tag}`);
        expect(url.host).toBe(reference.registry.replace(/:80$/, ""));
        expect(url.pathname).toBe(`/v2/${reference.repository}/manifests/${reference.tag}`);
        expect(`${url.username}${url.password}${url.search}${url.hash}`).toBe("");
        if (reference.registry !== "docker.io")
          expect(text.toLowerCase().startsWith(`${reference.registry}/`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("that is long and wrong is refused in linear time", () => {
    // Exponential or even cubic matching of this would not end within the test's time limit.
    for (const text of [`${"a".repeat(250)}!`, `${"a-".repeat(120)}!`, `${"a.".repeat(120)}/!`])
      expect(() => parseReference(text)).toThrow("no image reference");
  });
});

describe("the names of an image", () => {
  it.each([
    ["python", ["python", "docker.io/library/python:latest"]],
    ["owner/tool:1", ["owner/tool:1", "docker.io/owner/tool:1"]],
    ["localhost:5000/a:1", ["localhost:5000/a:1"]],
    [`sha256:${"0".repeat(64)}`, [`sha256:${"0".repeat(64)}`]],
    ["No/Reference", ["No/Reference"]],
  ])("that is called %s", (text, names) => {
    expect(namesOf(text)).toEqual(names);
  });
});
