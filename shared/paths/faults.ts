/** What is wrong with a path that a client names. */

/** Longest path in bytes, and longest name in it (PATH_MAX and NAME_MAX of Linux). */
export const MAX_PATH_BYTES = 4096;
export const MAX_NAME_BYTES = 255;
/**
 * Most components of a path. The kernel would take 2,048 of them; nothing that people name comes near it, and each
 * one is work: to compare with other paths, to make as a directory, to match with a pattern.
 */
export const MAX_COMPONENTS = 64;

/** Says what is wrong with a path that has to lie below a directory, or nothing. */
export function describeRelativePathFault(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute: name it relative to the working directory";
  return describeLengthFault(path) ?? describeComponentFault(path.split("/"));
}

/** Says what is wrong with a path that starts at the container's root and has to be in its shortest form, or nothing. */
export function describeAbsolutePathFault(path: string): string | undefined {
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
  if (components.length > MAX_COMPONENTS) return `has more than ${MAX_COMPONENTS} components`;
  for (const component of components) {
    if (component === "") return "has an empty component";
    if (component === "." || component === "..") return `has ${component} as a component`;
    if (Buffer.byteLength(component) > MAX_NAME_BYTES) return `has a component of more than ${MAX_NAME_BYTES} bytes`;
  }
  return undefined;
}
