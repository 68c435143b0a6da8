/** Values that have the form of a schema, more or less: what it refuses by a hair is worth more than what it never sees. */
import * as fc from "fast-check";
import type * as z from "zod";
import { formOf, requiredOf } from "../support/schema-form.ts";
import { anyValue, hostileNumber, hostileText } from "./values.ts";

/** Of whatever zod schema; a field that is new in it is in the values, too. */
export function valuesOf(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 19, arbitrary: formed(schema) }, { weight: 1, arbitrary: anyValue });
}

function formed(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  const form = formOf(schema);
  switch (form.type) {
    case "object": {
      // What cannot be left out is there, or nothing else would be looked at.
      const fields = Object.entries(form.shape).map(([name, field]) => [name, valuesOf(field)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: requiredOf(form.shape) });
    }
    case "array":
      return fc.array(valuesOf(form.element), { maxLength: 3 });
    case "record":
      return fc.dictionary(fc.oneof(fc.constantFrom("A", "PATH", "x"), hostileText), valuesOf(form.valueType), {
        maxKeys: 4,
      });
    case "union":
      return fc.oneof(...form.options.map((option) => valuesOf(option)));
    case "literal":
      return fc.constantFrom(...form.values);
    case "enum":
      return fc.constantFrom(...Object.values(form.entries));
    case "string":
      return fc.oneof(fc.constantFrom("a", "python", "/work", `sha256:${"0".repeat(64)}`), hostileText);
    case "number":
      return fc.oneof(fc.integer({ min: 1, max: 10_000 }), hostileNumber);
    case "boolean":
      return fc.boolean();
    default:
      return anyValue;
  }
}
