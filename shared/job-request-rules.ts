/** Rules of a request that span more than one field. */
import type * as z from "zod";
import { findPathConflicts } from "./paths/conflicts.ts";
import { findPlaceFaults } from "./volumes.ts";

/** Bounds of one request that no operator needs to move. */
export const requestBounds = {
  files: 1024,
  layers: 32,
  outputs: 64,
  arguments: 1024,
  environment: 256,
  /**
   * Bytes of command, arguments and environment together, a NUL and a pointer each included. execve(2) grants
   * a quarter of the stack limit, but never less than 128 KiB: what fits in here starts under every limit,
   * with room for a preset's own words.
   */
  argumentBytes: 96 * 1024,
  /** Bytes of the variable PATH: the container's plan has a step for each of its directories. */
  searchPathBytes: 4096,
} as const;

/** The fields that the rules look at. */
interface RequestFields {
  readonly language?: string | undefined;
  readonly image?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly source?: string | undefined;
  readonly rootfs: "writable" | "readonly";
  readonly workingDirectory?: string | undefined;
  readonly files: readonly { readonly path: string }[];
  readonly outputs: readonly string[];
  readonly volumes: readonly { readonly at: string }[];
  readonly layers: readonly { readonly at: string }[];
  readonly keepLayer: boolean;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Either a language, which knows its image and command, or an image, which has a command where none is given. */
export function checkProgram(request: RequestFields, context: z.core.$RefinementCtx): void {
  const fault = (field: keyof RequestFields, message: string): void =>
    context.addIssue({ code: "custom", path: [field], message, input: request[field] });
  if (request.language !== undefined) {
    if (request.image !== undefined) fault("image", "cannot be given together with language");
    if (request.command !== undefined) fault("command", "cannot be given together with language");
    return;
  }
  if (request.source !== undefined) fault("source", "needs a language: put it into files otherwise");
  if (request.image !== undefined) return;
  if (request.command === undefined) fault("language", "is missing: give a language, or an image");
  else fault("image", "is missing: a command needs an image");
}

/** No path twice, none below another one. */
export function checkPaths(request: RequestFields, context: z.core.$RefinementCtx): void {
  for (const { index, message } of findPathConflicts(request.files.map(({ path }) => path))) {
    context.addIssue({ code: "custom", path: ["files", index, "path"], message, input: request.files });
  }
}

/** Mounts of the container's own; what is put below them in the root would be hidden. */
const HIDDEN_BY_MOUNTS = /^\/(?:proc|sys|dev)(?:\/|$)/;

/**
 * What is wrong with a working directory, if anything. Under a read-only root only /work can take the job's files; a
 * preset writes its main file.
 */
export function describeWorkingDirectoryFault(
  workingDirectory: string,
  { language, files, rootfs }: Pick<RequestFields, "language" | "files" | "rootfs">,
): string | undefined {
  if (HIDDEN_BY_MOUNTS.test(workingDirectory))
    return "is at or below /proc, /sys or /dev, which are not for files: use /work or another directory";
  const writesFiles = language !== undefined || files.length > 0;
  if (rootfs === "writable" || !writesFiles || /^\/work(\/|$)/.test(workingDirectory)) return undefined;
  return "cannot take files under a read-only root: use /work or a directory below it";
}

/** A working directory that is given; the image's is known to the worker only. */
export function checkWorkingDirectory(request: RequestFields, context: z.core.$RefinementCtx): void {
  const { workingDirectory } = request;
  const message = workingDirectory === undefined ? undefined : describeWorkingDirectoryFault(workingDirectory, request);
  if (message !== undefined)
    context.addIssue({ code: "custom", path: ["workingDirectory"], message, input: workingDirectory });
}

/** What empty file systems of the container's own cover under a read-only root. */
const COVERED_BY_TEMPORARY = /^\/(?:work|tmp)(?:\/|$)/;

/** What is wrong with the place of a layer, if anything. */
export function describeLayerPlaceFault(at: string, rootfs: RequestFields["rootfs"]): string | undefined {
  if (at === "/") return "is the root: name a directory below it";
  if (HIDDEN_BY_MOUNTS.test(at)) return "is at or below /proc, /sys or /dev, which are not for files";
  if (rootfs === "writable" || !COVERED_BY_TEMPORARY.test(at)) return undefined;
  return "is covered by the empty /work and /tmp of a read-only root: use another directory";
}

/** Layers must be seen where they are. */
export function checkLayers(request: RequestFields, context: z.core.$RefinementCtx): void {
  for (const [index, { at }] of request.layers.entries()) {
    const message = describeLayerPlaceFault(at, request.rootfs);
    if (message !== undefined) {
      context.addIssue({ code: "custom", path: ["layers", index, "at"], message, input: at });
    }
  }
}

/** There must be a layer to keep. */
export function checkKeepLayer({ keepLayer, rootfs }: RequestFields, context: z.core.$RefinementCtx): void {
  if (!keepLayer || rootfs === "writable") return;
  const message = "needs a writable root: under a read-only one nothing is written that could be kept";
  context.addIssue({ code: "custom", path: ["keepLayer"], message, input: keepLayer });
}

/** Volumes must not hide what the job brings. The image's working directory is known to the worker only. */
export function checkVolumePlaces(request: RequestFields, context: z.core.$RefinementCtx): void {
  const { workingDirectory, volumes } = request;
  const over =
    workingDirectory === undefined
      ? { workingDirectory: "", files: [], outputs: [] }
      : { workingDirectory, files: request.files.map(({ path }) => path), outputs: request.outputs };
  for (const { index, message } of findPlaceFaults(volumes, over)) {
    context.addIssue({ code: "custom", path: ["volumes", index, "at"], message, input: volumes });
  }
}

/** A program is looked for in every directory of it. */
export function checkSearchPath(request: RequestFields, context: z.core.$RefinementCtx): void {
  const searchPath = request.environment["PATH"] ?? "";
  if (Buffer.byteLength(searchPath) <= requestBounds.searchPathBytes) return;
  const message = `is longer than ${requestBounds.searchPathBytes} bytes`;
  context.addIssue({ code: "custom", path: ["environment", "PATH"], message, input: searchPath });
}

/** execve(2) must be able to take it: see {@link requestBounds}. */
export function checkArgumentBytes(request: RequestFields, context: z.core.$RefinementCtx): void {
  const words = [
    ...(request.command ?? []),
    ...request.arguments,
    ...Object.entries(request.environment).map(([name, value]) => `${name}=${value}`),
  ];
  const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1 + 8, 0);
  if (bytes > requestBounds.argumentBytes) {
    const message = `command, arguments and environment are larger than ${requestBounds.argumentBytes} bytes together`;
    context.addIssue({ code: "custom", path: ["arguments"], message, input: request.arguments });
  }
}
