import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { CgroupFiles } from "../../../worker/cgroup/files.ts";
import { libc } from "../../../worker/linux/libc.ts";

/** What siginterrupt(3) is told. */
const INTERRUPT = 1;
const SIGWINCH = 28;

/**
 * Holds a FIFO that takes no more, until process $2 is stopped in writing to it and a signal has come for it there; then
 * empties it, and prints what was written. A signal that is not pending any more has been taken: the write has ended.
 */
const READER = `
exec 3<>"$1"
head -c "$3" /dev/zero >&3
echo full
until [[ $(</proc/$2/wchan) == *pipe_write ]]; do :; done
kill -WINCH "$2"
is_pending() {
  local name mask
  while read -r name mask; do
    if [[ $name == S*Pnd: ]] && (((0x$mask >> ${SIGWINCH - 1}) & 1)); then return 0; fi
  done </proc/$1/status
  return 1
}
while is_pending "$2"; do :; done
head -c "$3" <&3 >/dev/null
head -c 4 <&3
`;

const PIPE_BYTES = 65_536;

describe("a file of a cgroup", () => {
  test("is written again when a signal has ended the write", async () => {
    using directory = mkdtempDisposableSync(join(tmpdir(), "longshore-fifo-"));
    const fifo = join(directory.path, "memory.limit_in_bytes");
    execFileSync("mkfifo", [fifo]);
    const ignore = (): void => {};
    process.on("SIGWINCH", ignore);
    // Node has writes to pipes restarted by the kernel; v1 has nobody restart that of a limit.
    libc.func("int siginterrupt(int sig, int flag)")(SIGWINCH, INTERRUPT);
    const reader = spawn("bash", ["-c", READER, "reader", fifo, String(process.pid), String(PIPE_BYTES)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const closed = once(reader, "close");
    try {
      const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe("full");
      new CgroupFiles().write(fifo, "4096");
      expect((await lines.next()).value).toBe("4096");
    } finally {
      reader.kill("SIGKILL");
      await closed;
      process.off("SIGWINCH", ignore);
    }
  });
});
