/** Every field of a schema that holds a single value, and a body around it: for what must hold of all of them. */
import * as z from "zod";

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
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const leaf = (kind: SchemaLeaf["kind"]): SchemaLeaf[] => [{ path: z.core.toDotPath([...path]), kind, embed }];
  switch (def.type) {
    case "number":
    case "string":
    case "boolean":
      return leaf(def.type);
    case "literal":
    case "enum":
      return leaf("choice");
    case "object":
      return Object.entries(def.shape).flatMap(([key, field]) => {
        const siblings = requiredOf(def.shape, key);
        return collect(field, [...path, key], (value) => embed({ ...siblings, [key]: value }));
      });
    case "array":
      return collect(def.element, [...path, 0], (value) => embed([value]));
    case "record":
      return collect(def.valueType, [...path, "NAME"], (value) => embed({ NAME: value }));
    case "union":
      return def.options.flatMap((option) => collect(option, path, embed));
    case "optional":
    case "default":
    case "prefault":
    case "nullable":
    case "readonly":
    case "catch":
    case "nonoptional":
      return collect(def.innerType, path, embed);
    case "pipe":
      return collect(def.in, path, embed);
    default:
      throw new Error(`${z.core.toDotPath([...path])}: a schema of type ${def.type} is not walked`);
  }
}

/** What the other fields of an object need to hold: a rule of the whole object is asked only where each part is right. */
function requiredOf(shape: Readonly<Record<string, z.core.$ZodType>>, except: string): Record<string, unknown> {
  const required = Object.entries(shape).filter(([key, field]) => {
    const isChoice = ["literal", "enum"].includes((field as z.core.$ZodTypes)._zod.def.type);
    return key !== except && (field._zod.optin === undefined || isChoice);
  });
  return Object.fromEntries(required.map(([key, field]) => [key, sampleOf(field)]));
}

const SAMPLES = ["a", "/a", `sha256:${"0".repeat(64)}`, 1, true, "none"];

function sampleOf(schema: z.core.$ZodType): unknown {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "literal":
      return def.values[0];
    case "enum":
      return Object.values(def.entries)[0];
    case "object":
      return requiredOf(def.shape, "");
    case "array":
      return [sampleOf(def.element)];
    case "union":
      return sampleOf(def.options[0] ?? schema);
    case "pipe":
      return sampleOf(def.in);
    default:
      return SAMPLES.find((sample) => z.core.safeParse(schema, sample).success);
  }
}
