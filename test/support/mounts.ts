import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";

/**
 * Lines of proc_pid_mountinfo(5) for all threads of a process, which may be in mount namespaces of their own. What lies in
 * others' temporary directories is left out: a test that runs at the same time may mount something there.
 * @param own where the caller's own mounts would be
 */
export function mountsOf(pid: number, own: string): string[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => linesOf(`/proc/${pid}/task/${task}/mountinfo`))
    .filter((line) => {
      const [, , , , point = ""] = line.split(" ");
      return !point.startsWith(`${tmpdir()}/`) || point.startsWith(own);
    })
    .toSorted();
}

/** None for a thread that has ended meanwhile. */
function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch (error) {
    const isGone =
      error instanceof Error && "code" in error && ["ENOENT", "ESRCH", "EINVAL"].includes(String(error.code));
    if (isGone) return [];
    throw error;
  }
}
