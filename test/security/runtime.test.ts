/** What the runtime itself brings into a container, or does for it: its program, working directories, priorities. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestSlot, text } from "../support/container.ts";

const LAUNCHER = join(import.meta.dirname, "../../worker/linux/launcher/launcher-x64");

const resources = new AsyncDisposableStack();
let slot: TestSlot;
/** Of the machine; everybody may read what is in it. */
let secretFile: string;
const secret = randomUUID();
beforeAll(async () => {
  slot = resources.use(await TestSlot.open());
  const directory = await mkdtempDisposable(join(tmpdir(), "longshore-secret-"));
  resources.defer(() => directory.remove());
  secretFile = join(directory.path, "secret");
  await writeFile(secretFile, secret);
});
afterAll(() => resources.disposeAsync());

const users = [0, 1000];
const as = (id: number) => ({ user: { uid: id, gid: id } });

function fingerprint(): unknown[] {
  const { ino, mode, mtimeMs, ctimeMs } = statSync(LAUNCHER);
  return [ino, mode, mtimeMs, ctimeMs, createHash("sha256").update(readFileSync(LAUNCHER)).digest("hex")];
}

describe.each(users)("the launcher, for user %d,", (id) => {
  const script = (interpreter: string) => ({
    path: "script",
    content: Buffer.from(`#!${interpreter}\n`),
    executable: true,
  });

  // What runc was overwritten by: the runtime made to execute itself inside, and held open there.
  test.each<[string, readonly [string, ...string[]], string]>([
    ["as what the process to be is now", ["/proc/self/exe"], "/bin/sh"],
    ["as what its thread is now", ["/proc/thread-self/exe", "3", "plan"], "/bin/sh"],
    ["as the interpreter of a script", ["./script"], "/proc/self/exe"],
    ["as init's program", ["/proc/1/exe"], "/bin/sh"],
    ["as the interpreter of a script, from init", ["./script"], "/proc/1/exe"],
    ["through a descriptor", ["/proc/self/fd/3"], "/bin/sh"],
  ])("does nothing without a plan, and stays what it is: %s", async (_, command, interpreter) => {
    const before = fingerprint();
    const result = await slot.run(slot.spec(command, { ...as(id), files: [script(interpreter)] }));
    expect(result).toMatchObject({ outcome: "exited" });
    expect([125, 126, 127]).toContain(result.exitCode);
    expect(text(result.stdout)).toBe("");
    expect(fingerprint()).toEqual(before);
  });

  test("and init cannot be opened for writing, by any way to init's program", async () => {
    const before = fingerprint();
    const program = `
import os
O_PATH = 0o10000000
for pid in (1, "self", "thread-self"):
    for path in (f"/proc/{pid}/exe", f"/proc/{pid}/map_files", f"/proc/{pid}/task/{1 if pid == 1 else os.getpid()}/exe"):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
            try: os.open(path, flags); print("opened", path, flags)
            except OSError: pass
            try: os.open(f"/proc/self/fd/{os.open(path, O_PATH)}", flags); print("opened through a descriptor", path, flags)
            except OSError: pass`;
    const { stdout, stderr } = await slot.python(program, as(id));
    expect([text(stdout), text(stderr)]).toEqual(["", ""]);
    expect(fingerprint()).toEqual(before);
  });
});

describe.each(users)("a working directory, for user %d,", (id) => {
  const descriptors = Array.from({ length: 64 }, (_, number) => `/proc/self/fd/${number}`);
  const places = ["/proc/self/cwd", "/proc/self/root", "/proc/1/cwd", "/proc/1/root", "/proc/1/fd/0", "/dev/fd/3"];

  test("is none that a descriptor of the runtime's leads to", async () => {
    const program = `
import os, sys
path = sys.argv[1]
ways = ["/".join([".."] * depth) + path for depth in (1, 2, 8, 40)] + ["." + path, path]
print(*(way for way in ways if os.path.exists(way)))`;
    const found: string[] = [];
    for (const workingDirectory of [...descriptors, ...places]) {
      const command = ["python3", "-c", program, secretFile] as const;
      for (const outputs of [[], ["secret", `..${secretFile}`.replaceAll("..", "x"), "etc/shadow"]]) {
        const spec = slot.spec(command, { ...as(id), workingDirectory, outputs, limits: { wallTimeMs: 60_000 } });
        const result = await slot.attempt(spec);
        if (result.kind !== "ended") continue;
        const seen = text(result.stdout).trim() + JSON.stringify(result.outputs.filter((one) => !("error" in one)));
        if (result.exitCode === 0 && seen !== "[]") found.push(`${workingDirectory}: ${seen}`);
      }
    }
    expect(found).toEqual([]);
  });

  test("is none of the machine's that files are put into", async () => {
    const files = [{ path: `trap-${secret}`, content: Buffer.from("trap"), executable: false }];
    for (const workingDirectory of [
      "/proc/self/cwd",
      "/proc/self/fd/5",
      "/proc/1/root",
      "/proc/1/cwd",
      "/proc",
      "/dev",
    ]) {
      // Some are made below what is mounted there afterwards: they are the container's own.
      await slot.attempt(slot.spec(["true"], { ...as(id), workingDirectory, files }));
      const ours = [process.cwd(), "/", "/dev", "/work", slot.directory];
      expect(ours.filter((directory) => existsSync(join(directory, `trap-${secret}`)))).toEqual([]);
    }
    const { stdout } = await slot.bash(`find / -xdev -name 'trap-*' 2> /dev/null; true`, as(id));
    expect(text(stdout)).toBe("");
  });
});

describe.each(users)("a program of user %d", (id) => {
  test("gets no precedence over others", async () => {
    const program = `
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(number, *words) < 0: raise OSError(ctypes.get_errno(), "")
def deadline():
    # struct sched_attr: 1 ms of every 10 ms, before everybody else (SCHED_DEADLINE).
    class Attributes(ctypes.Structure):
        _fields_ = [("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64), ("nice", ctypes.c_int32),
                    ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64)]
    attributes = Attributes(48, 6, 0, 0, 0, 10**6, 10**7, 10**7)
    call(314, 0, ctypes.byref(attributes), 0)
def unlimited(name):
    number = getattr(resource, name); soft, hard = resource.getrlimit(number)
    if hard == resource.RLIM_INFINITY: raise OSError(0, "")
    resource.setrlimit(number, (soft, hard + 1))
    # That of core dumps stays as it is, whatever is asked for.
    if resource.getrlimit(number) == (soft, hard): raise OSError(0, "")
IOPRIO_WHO_PROCESS, REALTIME = 1, 1 << 13
attempts = {
    "a negative nice value": lambda: os.nice(-1),
    "SCHED_FIFO": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "SCHED_RR": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
    "SCHED_DEADLINE": deadline,
    "disks before others": lambda: call(251, IOPRIO_WHO_PROCESS, 0, REALTIME),
    "an end after others": lambda: open("/proc/self/oom_score_adj", "w").write("-1000"),
}
for name in ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_MEMLOCK"):
    attempts["more of " + name] = lambda name=name: unlimited(name)
for name, attempt in attempts.items():
    try: attempt(); print(name)
    except (OSError, ValueError): pass`;
    const { stdout, stderr } = await slot.python(program, as(id));
    expect([text(stdout), text(stderr)]).toEqual(["", ""]);
  });
});
