/**
 * Paths that a client names. They are checked here so that a mistake is a clear answer; the container
 * runtime does not rely on it and resolves every path inside of the container's own tree.
 */
import * as z from "zod";
import { describeAbsolutePathFault, describeRelativePathFault, MAX_COMPONENTS, MAX_PATH_BYTES } from "./faults.ts";
import { parsePattern } from "./glob.ts";

/** A path below the working directory: no `..`, not absolute, no empty component, no NUL. */
export const relativePathSchema = z
  .string()
  .superRefine((path, context) => report(path, describeRelativePathFault(path), context))
  .meta({
    description:
      "path relative to the working directory, without .., empty components and NUL; " +
      `at most ${MAX_PATH_BYTES} bytes and ${MAX_COMPONENTS} components`,
    examples: ["data/in.txt"],
  });

/** A pattern of relative paths, as `glob.ts` says. */
export const outputPatternSchema = z
  .string()
  .superRefine((pattern, context) => report(pattern, describePatternFault(pattern), context))
  .meta({
    description:
      "path relative to the working directory, or a pattern of such paths: * (any characters of one component), ? " +
      "(one), [a-z] and [!a-z] (one of a set, or not of it), ** as a whole component (any number of directories); " +
      "[*] stands for the star itself, braces and extended patterns as in @(a|b) are refused",
    examples: ["result.json", "out/*.xml"],
  });

/** An absolute path in its shortest form. */
export const absolutePathSchema = z
  .string()
  .superRefine((path, context) => report(path, describeAbsolutePathFault(path), context))
  .meta({ description: "absolute path inside of the container, without . and .. and without a slash at its end" });

function describePatternFault(text: string): string | undefined {
  const pattern = parsePattern(text);
  return pattern.kind === "fault" ? pattern.message : undefined;
}

function report(input: string, fault: string | undefined, context: z.core.$RefinementCtx): void {
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault, input });
}
