/** Values that have the form of a schema, more or less: what it refuses by a hair is worth more than what it never sees. */
import * as fc from "fast-check";
import type * as z from "zod";
import { anyValue, hostileNumber, hostileText } from "./values.ts";

/** Of whatever zod schema; a field that is new in it is in the values, too. */
export function valuesOf(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 19, arbitrary: formed(schema) }, { weight: 1, arbitrary: anyValue });
}

function formed(schema: z.core.$ZodType): fc.Arbitrary<unknown> {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object": {
      const fields = Object.entries(def.shape).map(([name, field]) => [name, valuesOf(field)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: requiredOf(def.shape) });
    }
    case "array":
      return fc.array(valuesOf(def.element), { maxLength: 3 });
    case "record":
      return fc.dictionary(fc.oneof(fc.constantFrom("A", "PATH", "x"), hostileText), valuesOf(def.valueType), {
        maxKeys: 4,
      });
    case "union":
      return fc.oneof(...def.options.map((option) => valuesOf(option)));
    case "optional":
    case "default":
    case "prefault":
    case "nullable":
    case "readonly":
    case "catch":
    case "nonoptional":
      return valuesOf(def.innerType);
    case "pipe":
      return valuesOf(def.in);
    case "literal":
      return fc.constantFrom(...def.values);
    case "enum":
      return fc.constantFrom(...Object.values(def.entries));
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

/** What cannot be left out is there, or nothing else would be looked at. */
function requiredOf(shape: Readonly<Record<string, z.core.$ZodType>>): string[] {
  return Object.keys(shape).filter((name) => shape[name]?._zod.optin === undefined);
}
