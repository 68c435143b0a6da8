import * as fc from "fast-check";
import { expect, test } from "vitest";
import { findPathConflicts } from "../../../shared/paths/conflicts.ts";

test("conflicts are found as by comparing every path with every other one", () => {
  const path = fc.array(fc.constantFrom("a", "b", "__proto__"), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(path, { maxLength: 12 }), (components) => {
      const paths = components.map((names) => names.join("/"));
      const isTwice = (index: number) => paths.indexOf(paths[index] ?? "") < index;
      const isBelow = (index: number) => paths.some((other) => paths[index]?.startsWith(`${other}/`));
      const indexes = [...paths.keys()];
      const expected = [...indexes.filter(isTwice), ...indexes.filter(isBelow)];
      expect(findPathConflicts(paths).map(({ index }) => index)).toEqual(expected);
    }),
  );
});
