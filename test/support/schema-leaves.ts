/** Every field of a schema that holds a single value, and a body around it: for what must hold of all of them. */
import * as z from "zod";
import { formOf, requiredOf } from "./schema-form.ts";

/** A field without fields of its own. */
export interface SchemaLeaf {
  /** As errors name it: `files[0].path`. */
  readonly path: string;
  readonly kind: "number" | "string" | "boolean" | "choice";
  /** A value of the whole schema with this in the field, and in others only what has to be there. */
  embed(value: unknown): unknown;
}

type Key = string | number;

/** The leaves of a schema, those of every alternative included. */
export function leavesOf(schema: z.core.$ZodType): SchemaLeaf[] {
  const leaves = new Map<string, SchemaLeaf>();
  // Alternatives may have a field in common: one of them will do.
  for (const leaf of collect(schema, [], (value) => value)) leaves.set(`${leaf.path} ${leaf.kind}`, leaf);
  return [...leaves.values()];
}

function collect(schema: z.core.$ZodType, path: readonly Key[], embed: (value: unknown) => unknown): SchemaLeaf[] {
  const form = formOf(schema);
  const leaf = (kind: SchemaLeaf["kind"]): SchemaLeaf[] => [{ path: z.core.toDotPath([...path]), kind, embed }];
  switch (form.type) {
    case "number":
    case "string":
    case "boolean":
      return leaf(form.type);
    case "literal":
    case "enum":
      return leaf("choice");
    case "object":
      return Object.entries(form.shape).flatMap(([key, field]) => {
        const siblings = siblingsOf(form.shape, key);
        return collect(field, [...path, key], (value) => embed({ ...siblings, [key]: value }));
      });
    case "array":
      return collect(form.element, [...path, 0], (value) => embed([value]));
    case "record":
      return collect(form.valueType, [...path, "NAME"], (value) => embed({ NAME: value }));
    case "union":
      return form.options.flatMap((option) => collect(option, path, embed));
    default:
      throw new Error(`${z.core.toDotPath([...path])}: a schema of type ${form.type} is not walked`);
  }
}

/** What the other fields of an object need to hold: a rule of the whole object is asked only where each part is right. */
function siblingsOf(shape: Readonly<Record<string, z.core.$ZodType>>, except: string): Record<string, unknown> {
  const required = requiredOf(shape);
  const named = Object.entries(shape).filter(([key, field]) => {
    const isChoice = ["literal", "enum"].includes((field as z.core.$ZodTypes)._zod.def.type);
    return key !== except && (required.includes(key) || isChoice);
  });
  return Object.fromEntries(named.map(([key, field]) => [key, sampleOf(field)]));
}

const SAMPLES = ["a", "/a", `sha256:${"0".repeat(64)}`, 1, true, "none"];

function sampleOf(schema: z.core.$ZodType): unknown {
  const form = formOf(schema);
  switch (form.type) {
    case "literal":
      return form.values[0];
    case "enum":
      return Object.values(form.entries)[0];
    case "object":
      return siblingsOf(form.shape, "");
    case "array":
      return [sampleOf(form.element)];
    case "union":
      return sampleOf(form.options[0] ?? schema);
    default:
      return SAMPLES.find((sample) => z.core.safeParse(schema, sample).success);
  }
}
