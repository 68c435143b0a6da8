/** What zod schemas have in common, for those who walk them. */
import type * as z from "zod";

/** What a schema says of a value itself, without what says whether it may be left out, and what is made of it. */
export function formOf(schema: z.core.$ZodType): Exclude<z.core.$ZodTypes["_zod"]["def"], { innerType: unknown }> {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if ("innerType" in def) return formOf(def.innerType);
  return def.type === "pipe" ? formOf(def.in) : def;
}

/** Names of the fields of an object that cannot be left out. */
export function requiredOf(shape: Readonly<Record<string, z.core.$ZodType>>): string[] {
  return Object.keys(shape).filter((name) => shape[name]?._zod.optin === undefined);
}
