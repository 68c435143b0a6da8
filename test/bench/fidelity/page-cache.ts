/** What the kernel keeps in memory of files on disk. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Has the kernel forget the files of directories, but for what a process has mapped (posix_fadvise(2), by GNU dd). */
export async function forgetFiles(directories: readonly string[]): Promise<void> {
  const forget = ["dd", "if={}", "iflag=nocache", "count=0", "status=none"];
  await run("find", [...directories, "-type", "f", "-size", "+0", "-exec", ...forget, ";"]);
}

/** Bytes of the files of directories that are in memory. */
export async function bytesInMemory(directories: readonly string[]): Promise<number> {
  const count = 'find "$@" -type f -size +0 -print0 | xargs -0 fincore --bytes --noheadings --output RES';
  const { stdout } = await run("sh", ["-ec", count, "sh", ...directories], { maxBuffer: Number.POSITIVE_INFINITY });
  return stdout.split("\n").reduce((sum, line) => sum + Number(line), 0);
}
