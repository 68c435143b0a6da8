/** Memory that the kernel charges nobody for, and what it counts for each user: ways past a container's limits. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PATIENCE, Target } from "./target.ts";

let target: Target;
beforeAll(async () => {
  target = await Target.open(2);
});
afterAll(() => target[Symbol.asyncDispose]());

const python = (source: string, fields = {}) => ({ language: "python", source, ...fields });

describe("memory that is in no cgroup's", () => {
  test("is not to be had by access lists, of which each file of a tmpfs would take 128 KiB", async () => {
    const source = `
import errno, os, struct
def entry(tag, user): return struct.pack("<HHI", tag, 7, user)
NOBODY = 0xFFFFFFFF
users = b"".join(entry(2, number) for number in range(8186))
acl = struct.pack("<I", 2) + entry(1, NOBODY) + users + entry(4, NOBODY) + entry(0x10, NOBODY) + entry(0x20, NOBODY)
os.symlink("/tmp/file", "/tmp/link")
for place in ("/tmp", "/work", "/dev/shm"):
    os.mkdir(place + "/directory"); path = place + "/file"; file = open(path, "w")
    for target in (path, place + "/directory", file.fileno()):
        for name in ("system.posix_acl_access", "system.posix_acl_default", "user.note", "trusted.note", "security.note"):
            try: os.setxattr(target, name, acl if "acl" in name else b"x"); print(target, "has", name)
            except OSError as error:
                if error.errno != errno.ENOTSUP: print(target, name, error.strerror)
try: os.setxattr("/tmp/link", "user.note", b"x", follow_symlinks=False); print("the link has one")
except OSError as error: print(error.strerror)`;
    expect(await target.output(python(source))).toBe("Operation not supported\n");
  });

  test("is not to be had as huge pages, should an operator have set some aside", async () => {
    // Whether there are any: the kernel would refuse a length of 0 otherwise, and make the file.
    const source = `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_long
PROT, MAP_PRIVATE_ANONYMOUS, MAP_HUGETLB, MAP_HUGE_1GB, MFD_HUGETLB = 3, 0x22, 0x40000, 30 << 26, 4
def answer(result): return "done" if result != -1 else errno.errorcode[ctypes.get_errno()]
for huge in (0, MAP_HUGETLB, MAP_HUGETLB | MAP_HUGE_1GB):
    print(*(answer(libc.mmap(None, length, PROT, MAP_PRIVATE_ANONYMOUS | huge, -1, 0)) for length in (0, 1 << 21)))
print(answer(libc.memfd_create(b"a", 0)), answer(libc.memfd_create(b"b", MFD_HUGETLB)))`;
    expect(await target.output(python(source))).toBe("EINVAL done\nENOMEM ENOMEM\nENOMEM ENOMEM\ndone ENOMEM\n");
  });
});

describe("what the kernel counts for each user", () => {
  test("is not missing to the machine and to another job when one takes all of it", async () => {
    const watches = `
import ctypes
libc = ctypes.CDLL(None)
taken = 0
while libc.inotify_init1(0) >= 0: taken += 1
print(taken > 0, flush=True)`;
    const staying = await target.post(
      python(`${watches}\nopen("/tmp/ready", "w").close()\nimport time; time.sleep(100)`, {
        limits: { wallTimeMs: 300_000, openFiles: 1024 },
      }),
    );
    const isReady = () => target.containerProcesses().some((pid) => existsSync(`/proc/${pid}/root/tmp/ready`));
    await expect.poll(isReady, PATIENCE).toBe(true);
    // A process that has not watched anything yet: each takes an instance of its own.
    const watch = `require("node:fs").watch("/tmp").close(); console.log("watched")`;
    expect((await promisify(execFile)(process.execPath, ["-e", watch])).stdout).toBe("watched\n");
    expect(await target.output(python(watches))).toBe("True\n");
    expect(isReady()).toBe(true);
    await target.cancel(staying);
    await target.finished(staying);
  });
});
