/** What two jobs can tell each other, at once and one after the other: nothing. */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PATIENCE, Target } from "./target.ts";

/** Ways to leave something where another process may find it: each can be made, and looked for. */
const WAYS = `
import ctypes, fcntl, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
KEY, IPC_CREAT = 0x10C5, 0o1000
kept = []

def listen(family, address):
    kept.append(socket.socket(family)); kept[-1].bind(address); kept[-1].listen()

def connect(family, address):
    with socket.socket(family) as client: client.connect(address)

def lock():
    kept.append(open("/etc/passwd")); fcntl.flock(kept[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

def find_lock():
    with open("/etc/passwd") as file:
        try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError: return
    raise FileNotFoundError

def call(function, *words):
    result = function(*words)
    if result < 0: raise OSError(ctypes.get_errno(), function.__name__)
    return result

ways = {
    "a file in /tmp": (lambda: open("/tmp/left", "w"), lambda: open("/tmp/left")),
    "a file in /dev/shm": (lambda: open("/dev/shm/left", "w"), lambda: open("/dev/shm/left")),
    "a file in /work": (lambda: open("/work/left", "w"), lambda: open("/work/left")),
    "System V memory": (lambda: call(libc.shmget, KEY, 4096, IPC_CREAT | 0o666), lambda: call(libc.shmget, KEY, 4096, 0)),
    "System V semaphores": (lambda: call(libc.semget, KEY, 1, IPC_CREAT | 0o666), lambda: call(libc.semget, KEY, 1, 0)),
    "System V messages": (lambda: call(libc.msgget, KEY, IPC_CREAT | 0o666), lambda: call(libc.msgget, KEY, 0)),
    "a POSIX queue": (lambda: call(libc.mq_open, b"/left", os.O_CREAT | os.O_RDWR, 0o666, None),
                      lambda: call(libc.mq_open, b"/left", os.O_RDWR)),
    "an abstract socket": (lambda: listen(socket.AF_UNIX, "\\0left"), lambda: connect(socket.AF_UNIX, "\\0left")),
    "a port": (lambda: listen(socket.AF_INET, ("127.0.0.1", 7000)), lambda: connect(socket.AF_INET, ("127.0.0.1", 7000))),
    "a lock on a file of the image": (lock, find_lock),
    "a process": (lambda: [os.fork() or time.sleep(100) for _ in range(1)], lambda: os.kill(3, 0)),
}

def make():
    for way, (left, _) in ways.items(): left()

def find():
    for way, (_, found) in ways.items():
        try: found(); print(way)
        except OSError: pass
`;

const leave = `${WAYS}\nmake()\nfind()`;
const find = `${WAYS}\nfind()`;
const leaveAndStay = `${WAYS}\nmake()\nopen("/tmp/ready", "w").close()\ntime.sleep(100)`;

const python = (source: string, limits = {}) => ({ language: "python", source, limits });

describe("one job after the other in the same slot", () => {
  let target: Target;
  beforeAll(async () => {
    target = await Target.open();
  });
  afterAll(() => target[Symbol.asyncDispose]());

  test("finds nothing that the last one left", async () => {
    const left = (await target.output(python(leave))).trim().split("\n");
    // All of it can be found where it was made, so its absence says something.
    expect(left).toHaveLength(11);
    expect(await target.output(python(find))).toBe("");
    expect(await target.output({ ...python(find), rootfs: "readonly" })).toBe("");
  });
});

describe("two jobs at once", () => {
  let target: Target;
  beforeAll(async () => {
    target = await Target.open(2);
  });
  afterAll(() => target[Symbol.asyncDispose]());

  test.each(["writable", "readonly"])("on %s roots find nothing of each other", async (rootfs) => {
    const staying = await target.post({ ...python(leaveAndStay, { wallTimeMs: 300_000 }), rootfs });
    const isReady = () => target.containerProcesses().some((pid) => existsSync(`/proc/${pid}/root/tmp/ready`));
    await expect.poll(isReady, PATIENCE).toBe(true);
    expect(await target.output({ ...python(find), rootfs })).toBe("");
    expect(isReady()).toBe(true);
    await target.cancel(staying);
    await target.finished(staying);
  });

  test("are not shown each other's locks, of which those of open files are nobody's in the kernel's list", async () => {
    const start = 271_828_182;
    const lock = `
import fcntl, os, struct, time
F_OFD_SETLK = 37
# struct flock: l_type, l_whence, l_start, l_len, l_pid.
fcntl.fcntl(os.open("locked", os.O_RDWR | os.O_CREAT), F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, ${start}, 1, 0))
open("/tmp/ready", "w").close()
time.sleep(100)`;
    const staying = await target.post(python(lock, { wallTimeMs: 300_000 }));
    // The machine is shown it.
    await expect.poll(() => readFileSync("/proc/locks", "utf8"), PATIENCE).toContain(` ${start} `);
    expect(await target.output(python("print(open('/proc/locks').read())"))).toBe("\n");
    expect(readFileSync("/proc/locks", "utf8")).toContain(` ${start} `);
    await target.cancel(staying);
    await target.finished(staying);
  });

  test("have different ids on the machine, so that nothing that one owns is the other's", async () => {
    const source = "print(open('/proc/self/uid_map').read().split()[1], flush=True); import time; time.sleep(1)";
    const outputs = await Promise.all([target.output(python(source)), target.output(python(source))]);
    const [one = 0, other = 0] = outputs.map(Number);
    expect(Math.abs(one - other)).toBe(65_536);
    expect(Math.min(one, other)).toBeGreaterThan(65_535);
  });
});
