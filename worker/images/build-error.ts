import { CommandError } from "./process.ts";

/** An image could not be built; the message says what is missing and how to get it. */
export class ImageBuildError extends Error {
  override readonly name = "ImageBuildError";
  readonly image: string;

  constructor(image: string, message: string, options?: ErrorOptions) {
    super(`image ${image} could not be built: ${message}`, options);
    this.image = image;
  }
}

/** What package tools print, in their own words, about failures that somebody can do something about. */
const KNOWN: readonly {
  readonly pattern: RegExp;
  readonly advice: (match: RegExpExecArray, directory: string) => string;
}[] = [
  {
    // unshare(1) says so of the command that it should run.
    pattern: /failed to execute (\S+): No such file or directory/,
    advice: ([, program]) => `${program} is not installed: apt-get install ${program}`,
  },
  {
    pattern: /No space left on device/,
    advice: (_, directory) =>
      `the disk is full: free some space under ${directory}, or move LONGSHORE_DATA to a larger disk`,
  },
  {
    pattern: /Unable to locate package \S+|Package \S+ has no installation candidate/,
    advice: ([match]) => `${match}: correct its Dockerfile, or add a source that has the package under /etc/apt`,
  },
  {
    pattern:
      /(?:Temporary failure|Could not) resolv\w+ \S+|(?:Could not|Unable to) connect to \S+|Network is unreachable|Failed to fetch \S+/,
    advice: ([match]) =>
      `Debian packages cannot be downloaded (${match}): check the network, the proxy, and the sources under /etc/apt`,
  },
  {
    pattern: /mount:.*(?:wrong fs type|overlay).*/,
    advice: ([match], directory) =>
      `${match}: the kernel needs overlayfs (modprobe overlay), and ${directory} a file system it can write to, such as ext4 or xfs`,
  },
];

/** Turns whatever ended a build into an error with a way out. */
export function explainBuildFailure(image: string, directory: string, error: unknown): ImageBuildError {
  if (error instanceof ImageBuildError) return error;
  if (!(error instanceof Error)) return new ImageBuildError(image, String(error));
  const output = error instanceof CommandError ? `${error.message}\n${error.lines.join("\n")}` : error.message;
  for (const { pattern, advice } of KNOWN) {
    const match = pattern.exec(output);
    if (match) return new ImageBuildError(image, advice(match, directory), { cause: error });
  }
  if (
    "code" in error &&
    error.code === "ENOENT" &&
    "path" in error &&
    "syscall" in error &&
    String(error.syscall).startsWith("spawn")
  ) {
    const program = String(error.path);
    return new ImageBuildError(
      image,
      `${program} is not installed: apt-get install ${PACKAGE_OF[program] ?? program}`,
      { cause: error },
    );
  }
  if ("code" in error && error.code === "ENOSPC") {
    return new ImageBuildError(
      image,
      `the disk is full: free some space under ${directory}, or move LONGSHORE_DATA to a larger disk`,
      { cause: error },
    );
  }
  return new ImageBuildError(image, output, { cause: error });
}

/** Debian packages of the programs that builds run. */
const PACKAGE_OF: Readonly<Record<string, string>> = { unshare: "util-linux", flock: "util-linux", sync: "coreutils" };
