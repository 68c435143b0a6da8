/**
 * Paths that a client names. They are checked here so that a mistake is a clear answer; the container
 * runtime does not rely on it and resolves every path inside of the container's own tree.
 */
import * as z from "zod";
import { describeAbsolutePathFault, describeRelativePathFault, MAX_COMPONENTS, MAX_PATH_BYTES } from "./faults.ts";

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

/** A pattern of relative paths: `*`, `?`, `[…]` inside of a component, `**` for any number of components. */
export const outputPatternSchema = z
  .string()
  .superRefine((pattern, context) => report(pattern, describeRelativePathFault(pattern), context))
  .meta({ description: "path or glob relative to the working directory", examples: ["result.json", "out/*.xml"] });

/** An absolute path in its shortest form. */
export const absolutePathSchema = z
  .string()
  .superRefine((path, context) => report(path, describeAbsolutePathFault(path), context))
  .meta({ description: "absolute path inside of the container, without . and .. and without a slash at its end" });

function report(input: string, fault: string | undefined, context: z.core.$RefinementCtx): void {
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault, input });
}
