/**
 * Paths that a client names. They are checked here so that a mistake is a clear answer; the container
 * runtime does not rely on it and resolves every path inside of the container's own tree.
 */
import * as z from "zod";

/** Longest path in bytes, and longest name in it (PATH_MAX and NAME_MAX of Linux). */
export const MAX_PATH_BYTES = 4096;
export const MAX_NAME_BYTES = 255;

/** A path below the working directory: no `..`, not absolute, no empty component, no NUL. */
export const relativePathSchema = z
  .string()
  .superRefine((path, context) => report(path, describeRelativePathFault(path), context))
  .meta({
    description: "path relative to the working directory, without .., empty components and NUL; at most 4096 bytes",
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

/** Says what is wrong with a relative path, or nothing. */
export function describeRelativePathFault(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute: name it relative to the working directory";
  return describeLengthFault(path) ?? describeComponentFault(path.split("/"));
}

function describeAbsolutePathFault(path: string): string | undefined {
  if (!path.startsWith("/")) return "is not absolute";
  if (path === "/") return undefined;
  return describeLengthFault(path) ?? describeComponentFault(path.slice(1).split("/"));
}

function describeLengthFault(path: string): string | undefined {
  if (!path.isWellFormed()) return "has a lone surrogate";
  if (path.includes("\0")) return "has a NUL";
  return Buffer.byteLength(path) > MAX_PATH_BYTES ? `is longer than ${MAX_PATH_BYTES} bytes` : undefined;
}

function describeComponentFault(components: readonly string[]): string | undefined {
  for (const component of components) {
    if (component === "") return "has an empty component";
    if (component === "." || component === "..") return `has ${component} as a component`;
    if (Buffer.byteLength(component) > MAX_NAME_BYTES) return `has a component of more than ${MAX_NAME_BYTES} bytes`;
  }
  return undefined;
}

function report(input: string, fault: string | undefined, context: z.core.$RefinementCtx): void {
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault, input });
}

/** Where a list of paths contradicts itself. */
export interface PathConflict {
  readonly index: number;
  readonly message: string;
}

/** Finds paths that are named twice, or that are a directory of another one. */
export function findPathConflicts(paths: readonly string[]): PathConflict[] {
  const files = new Set<string>();
  const conflicts: PathConflict[] = [];
  for (const [index, path] of paths.entries()) {
    if (files.has(path)) conflicts.push({ index, message: `${path} is named twice` });
    files.add(path);
  }
  for (const [index, path] of paths.entries()) {
    const directory = parentsOf(path).find((parent) => files.has(parent));
    if (directory !== undefined) {
      conflicts.push({ index, message: `lies below ${directory}, which is named as a file` });
    }
  }
  return conflicts;
}

function parentsOf(path: string): string[] {
  const components = path.split("/");
  return components.slice(1).map((_, index) => components.slice(0, index + 1).join("/"));
}
