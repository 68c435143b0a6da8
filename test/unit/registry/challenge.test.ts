import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../../worker/images/registry/challenge.ts";

function plain(header: string): object[] {
  return parseChallenges(header).map(({ scheme, parameters }) =>
    Object.fromEntries([["scheme", scheme], ...parameters]),
  );
}

describe("a challenge", () => {
  it("for a token names its server, service and scope, commas in quotes included", () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"';
    expect(plain(header)).toEqual([
      {
        scheme: "bearer",
        realm: "https://auth.docker.io/token",
        service: "registry.docker.io",
        scope: "repository:a/b:pull,push",
      },
    ]);
  });

  it("is told from the next one in the same header", () => {
    expect(plain('Negotiate, Basic realm = "a \\"b\\"" ,charset=UTF-8, BEARER Realm=x , service="y"')).toEqual([
      { scheme: "negotiate" },
      { scheme: "basic", realm: 'a "b"', charset: "UTF-8" },
      { scheme: "bearer", realm: "x", service: "y" },
    ]);
  });

  it("that is malformed ends the list, and does not hide those before it", () => {
    const [first, ...rest] = plain('Basic realm="a", Bearer realm="unterminated');
    expect(first).toEqual({ scheme: "basic", realm: "a" });
    expect(rest.filter((challenge) => "realm" in challenge)).toEqual([]);
    expect(plain("")).toEqual([]);
    expect(plain('"')).toEqual([]);
  });

  it("comes back from what a server would write", () => {
    const name = fc.stringMatching(/^[a-z]{1,8}$/);
    const value = fc.string({ unit: "grapheme-ascii", maxLength: 12 });
    const challenge = fc.record({ scheme: name, parameters: fc.dictionary(name, value, { minKeys: 1, maxKeys: 4 }) });
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 3 }), (challenges) => {
        const header = challenges
          .map(({ scheme, parameters }) => {
            const pairs = Object.entries(parameters);
            return `${scheme} ${pairs.map(([key, text]) => `${key}="${text.replaceAll(/["\\]/g, "\\$&")}"`).join(", ")}`;
          })
          .join(", ");
        expect(parseChallenges(header)).toEqual(
          challenges.map(({ scheme, parameters }) => ({ scheme, parameters: new Map(Object.entries(parameters)) })),
        );
      }),
    );
  });
});
