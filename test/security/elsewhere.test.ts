/** What a program could set off outside of its container, where nobody's limits hold: on the machine's disks, by its programs. */
import { execFile } from "node:child_process";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SmallDisk } from "../faults/machine/disk.ts";
import { Target } from "./target.ts";

const resources = new AsyncDisposableStack();
let target: Target;
/** Of the machine; nobody else writes to it. */
let disk: SmallDisk;
beforeAll(async () => {
  target = resources.use(await Target.open());
  const directory = await mkdtempDisposable(join(tmpdir(), "longshore-elsewhere-"));
  resources.defer(() => directory.remove());
  disk = resources.use(await SmallDisk.mount(join(directory.path, "disk"), 64 * 1024 * 1024));
});
afterAll(() => resources.disposeAsync());

const run = promisify(execFile);

/** Whether a file's content is in memory only, and has no place on the disk yet. */
async function isHeldBack(file: string): Promise<boolean> {
  const { stdout } = await run("filefrag", ["-v", file], { env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
  return stdout.includes("delalloc");
}

test("a program does not have the machine's files written to their disks", async () => {
  const file = join(disk.path, "held-back");
  await writeFile(file, Buffer.alloc(1024 * 1024));
  const source = `
import ctypes, os
libc = ctypes.CDLL(None)
SYNC = 162
os.sync()
print(libc.syscall(SYNC), libc.syscall(ctypes.c_long(SYNC), 1, 2, 3))
directory = os.open("/", os.O_RDONLY)
print(libc.syncfs(directory), os.fsync(directory))`;
  expect(await target.output({ language: "python", source })).toBe("0 0\n0 None\n");
  expect(await isHeldBack(file)).toBe(true);
  // Who may, does.
  await run("sync", ["--file-system", file]);
  expect(await isHeldBack(file)).toBe(false);
});

test("a program's crash starts no program of the machine's, which dumps of 1 byte at most are not piped to", async () => {
  const source = `
import ctypes, os, resource
libc = ctypes.CDLL(None)
SETRLIMIT, PRLIMIT64, CORE, high = 160, 302, resource.RLIMIT_CORE, 1 << 32
none = (ctypes.c_ulong * 2)(0, 0)
for soft, hard in ((0, 0), (0, 1)):
    resource.setrlimit(CORE, (soft, hard))
    resource.prlimit(os.getpid(), CORE, (soft, hard))
for number in (CORE, CORE | high):
    libc.syscall(ctypes.c_long(SETRLIMIT), ctypes.c_long(number), none)
    libc.syscall(ctypes.c_long(PRLIMIT64), ctypes.c_long(0), ctypes.c_long(number), none, None)
    libc.syscall(ctypes.c_long(PRLIMIT64), ctypes.c_long(1), ctypes.c_long(number), none, None)
print(resource.getrlimit(CORE), flush=True)
# Others are its own.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard - 1))
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard - 1, hard - 1), flush=True)
os.abort()`;
  const { result } = await target.run({ language: "python", source, outputs: ["core*"] });
  expect(result).toMatchObject({ outcome: "signaled", signal: "SIGABRT", stdout: { content: "(1, 1)\nTrue\n" } });
  expect(result?.outputs.filter((output) => !("error" in output))).toEqual([]);
});
