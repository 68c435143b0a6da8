/** Programs that take more than they are given: what each ends as, and that nobody notices afterwards. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobResult } from "../../shared/job-result.ts";
import { patiently, PATIENT_LIMITS } from "../support/patience.ts";
import { PATIENCE, Target, type Traces } from "./target.ts";

let target: Target;
/** What the slot has of its own, once each image has been used. */
let before: Traces;
beforeAll(async () => {
  target = await Target.open();
  for (const language of ["bash", "python", "c"])
    await target.run({ ...well[language], language, limits: PATIENT_LIMITS });
  before = await target.settledTraces();
});
afterAll(() => target[Symbol.asyncDispose]());

const well: Readonly<Record<string, { source: string }>> = {
  bash: { source: "echo $((6 * 7))" },
  python: { source: "print(6 * 7)" },
  c: { source: `#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); }` },
};

interface Attack {
  readonly language: "bash" | "python" | "c";
  readonly source: string;
  readonly limits?: Readonly<Record<string, number>>;
  /** How it may end: more than one where it depends on which of its limits it meets first. */
  readonly outcomes: readonly JobResult["outcome"][];
}

const soon = { wallTimeMs: 700 };
const MiB = 1024 * 1024;

const attacks: Readonly<Record<string, Attack>> = {
  "forks without end": {
    language: "c",
    source: "#include <unistd.h>\nint main(void) { for (;;) fork(); }",
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  "forks without end in a shell, and waits": {
    language: "bash",
    source: ":() { : | : & }; :; sleep 100",
    limits: { cpuTimeMs: 1000, wallTimeMs: 2000 },
    outcomes: ["cpu_limit", "wall_limit"],
  },
  "forks until it may not, and fails": {
    language: "python",
    source: "import os, time\nwhile os.fork(): pass\ntime.sleep(100)",
    outcomes: ["process_limit"],
  },
  "makes threads until it may not, and fails": {
    language: "c",
    source: `#include <pthread.h>
      #include <unistd.h>
      static void *idle(void *none) { pause(); return none; }
      int main(void) { pthread_t thread; while (!pthread_create(&thread, 0, idle, 0)); return 1; }`,
    outcomes: ["process_limit"],
  },
  "borrows its own memory for children without end": {
    language: "c",
    source: "#include <unistd.h>\nint main(void) { for (;;) if (vfork() == 0) _exit(0); }",
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  "loops for ever": {
    language: "python",
    source: "while True: pass",
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  "loops in as many processes as it gets": {
    language: "bash",
    source: "for i in {1..50}; do (while :; do :; done) & done; wait",
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  sleeps: { language: "bash", source: "sleep 100", limits: soon, outcomes: ["wall_limit"] },
  "stops itself": { language: "bash", source: "kill -STOP 0", limits: soon, outcomes: ["wall_limit"] },
  "stops its children and hides them in sessions of their own": {
    language: "bash",
    source: `for i in {1..20}; do setsid bash -c 'kill -STOP $$' & done; wait`,
    limits: soon,
    outcomes: ["wall_limit"],
  },
  "takes no notice of any signal that can be ignored": {
    language: "python",
    source: `import signal, time
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
time.sleep(100)`,
    limits: soon,
    outcomes: ["wall_limit"],
  },
  "leaves daemons behind": {
    language: "python",
    source: `import os, time
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        while True: time.sleep(100)`,
    outcomes: ["exited"],
  },
  "kills everything that it can": {
    language: "bash",
    source: "kill -KILL -1; kill -KILL 1; exit 0",
    outcomes: ["exited"],
  },
  "closes its streams and goes on": {
    language: "bash",
    source: "exec <&- >&- 2>&-; sleep 100",
    limits: soon,
    outcomes: ["wall_limit"],
  },
  "allocates a gigabyte": { language: "python", source: "x = bytearray(1 << 30)", outcomes: ["memory_limit"] },
  "allocates a gigabyte in a file without a name": {
    language: "python",
    source: `import os
file = os.memfd_create("hidden")
while True: os.write(file, bytes(1 << 20))`,
    limits: { fileBytes: 1024 * MiB },
    outcomes: ["memory_limit"],
  },
  "allocates a gigabyte in shared memory": {
    language: "bash",
    source: "head -c 1G /dev/zero > /dev/shm/x",
    limits: { diskBytes: 1024 * MiB },
    outcomes: ["memory_limit"],
  },
  "fills pipes that nobody reads": {
    language: "python",
    source: `import os
pipes = []
while True:
    pipes.append(os.pipe())
    os.set_blocking(pipes[-1][1], False)
    try:
        while True: os.write(pipes[-1][1], bytes(4096))
    except BlockingIOError: pass`,
    limits: { memoryBytes: 32 * MiB, openFiles: 4096 },
    outcomes: ["memory_limit"],
  },
  "fills sockets that nobody reads": {
    language: "python",
    source: `import socket
pairs = []
while True:
    pairs.append(socket.socketpair())
    for one in pairs[-1]:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
        try:
            while True: one.send(bytes(4096))
        except BlockingIOError: pass`,
    limits: { memoryBytes: 32 * MiB, openFiles: 4096 },
    outcomes: ["memory_limit"],
  },
  "takes memory by page tables, one byte for each": {
    language: "c",
    source: `#include <sys/mman.h>
      int main(void) {
        enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
        unsigned long size = 1UL << 44;
        volatile char *memory = mmap(0, size, PROT_READ | PROT_WRITE, FLAGS, -1, 0);
        if (memory == MAP_FAILED) return 1;
        for (unsigned long at = 0; at < size; at += 1UL << 21) (void)memory[at];
      }`,
    limits: { memoryBytes: 32 * MiB },
    outcomes: ["memory_limit"],
  },
  "takes System V memory and lets go of it, but does not remove it": {
    language: "python",
    source: `import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
while True:
    memory = libc.shmat(libc.shmget(0, 1 << 22, 0o600), None, 0)
    ctypes.memset(memory, 1, 1 << 22)
    libc.shmdt(ctypes.c_void_p(memory))`,
    limits: { memoryBytes: 64 * MiB },
    outcomes: ["memory_limit"],
  },
  "writes to files that it has deleted": {
    language: "python",
    source: `import os
files = []
while True:
    files.append(open("x", "wb")); os.unlink("x"); files[-1].write(bytes(1 << 22)); files[-1].flush()`,
    // Its files are gone with it: that its disk was full, nothing says any more.
    outcomes: ["exited"],
  },
  "makes directories in directories without end": {
    language: "python",
    source: `import os
while True: os.mkdir("d"); os.chdir("d")`,
    limits: { diskBytes: MiB },
    outcomes: ["disk_limit"],
  },
  "makes hard links and symlinks without end": {
    language: "python",
    source: `import itertools, os
open("x", "w").close()
for n in itertools.count(): os.link("x", f"l{n}"); os.symlink("x" * 4000, f"s{n}")`,
    limits: { diskBytes: MiB, memoryBytes: 32 * MiB, cpuTimeMs: patiently(3000) },
    outcomes: ["disk_limit", "memory_limit"],
  },
  "waits on files without end": {
    language: "python",
    source: `import os, select
kept = []
while True:
    poll = select.epoll(); kept.append(poll)
    for one in kept[:-1]:
        try: poll.register(one.fileno())
        except OSError: pass`,
    limits: { memoryBytes: 32 * MiB, cpuTimeMs: 1000 },
    outcomes: ["exited", "memory_limit", "cpu_limit"],
  },
  "makes timers without end": {
    language: "c",
    source: `#include <time.h>
      int main(void) { timer_t timer; while (!timer_create(CLOCK_MONOTONIC, 0, &timer)); return 1; }`,
    limits: { memoryBytes: 32 * MiB, cpuTimeMs: 2000 },
    outcomes: ["exited", "memory_limit", "cpu_limit"],
  },
  "signals itself without end": {
    language: "python",
    source: `import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 64))
libc = __import__("ctypes").CDLL(None)
while True: libc.sigqueue(os.getpid(), 40, 0)`,
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  "asks for files that there are not, without end": {
    language: "c",
    source: `#include <stdio.h>
      #include <unistd.h>
      int main(void) { char name[32]; for (long n = 0;; n++) sprintf(name, "/tmp/%ld", n), access(name, F_OK); }`,
    limits: { memoryBytes: 32 * MiB, cpuTimeMs: 2000 },
    outcomes: ["memory_limit", "cpu_limit"],
  },
  "makes locks of a lock without end": {
    language: "c",
    source: `#include <fcntl.h>
      int main(void) {
        int file = open("x", O_RDWR | O_CREAT, 0600);
        struct flock lock = { .l_type = F_WRLCK };
        fcntl(file, F_SETLK, &lock);
        lock.l_type = F_UNLCK; lock.l_len = 1;
        for (lock.l_start = 1L << 40;; lock.l_start -= 2) fcntl(file, F_SETLK, &lock);
      }`,
    // No cgroup is charged for locks: the CPU time that they take is what bounds them.
    limits: { memoryBytes: 32 * MiB, cpuTimeMs: 500 },
    outcomes: ["cpu_limit", "memory_limit"],
  },
  "talks to itself and does not listen": {
    language: "python",
    source: `import socket
server = socket.create_server(("127.0.0.1", 0), backlog=1000)
kept = []
while True:
    kept += [socket.create_connection(server.getsockname()), server.accept()[0]]
    kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)); kept[-1].bind(("127.0.0.1", 0))
    kept[-1].connect(kept[-1].getsockname())
    for one in kept[-3:]:
        one.setblocking(False)
        try:
            for _ in range(500): one.send(bytes(8000))
        except BlockingIOError: pass`,
    limits: { memoryBytes: 32 * MiB, openFiles: 1024, cpuTimeMs: 3000 },
    outcomes: ["exited", "memory_limit", "cpu_limit", "wall_limit"],
  },
  "prints without end, to both streams": {
    language: "bash",
    source: "yes & yes >&2 & wait",
    outcomes: ["output_limit"],
  },
  "complains in a line of a gigabyte": {
    language: "bash",
    source: "head -c 1G /dev/zero >&2",
    outcomes: ["output_limit"],
  },
  "closes one end after the other": {
    language: "bash",
    source: "exec <&-; echo a; exec >&-; echo b >&2; exec 2>&-; sleep 100",
    limits: soon,
    outcomes: ["wall_limit"],
  },
  "writes to a pipe whose reader has gone": {
    language: "bash",
    source: "trap '' PIPE; while :; do yes | true; done",
    limits: { cpuTimeMs: 500 },
    outcomes: ["cpu_limit"],
  },
  "reopens its streams and stops in the middle": {
    language: "bash",
    source: "for n in {1..50}; do (exec > /dev/stdout 2> /dev/stderr; echo x; kill -STOP $BASHPID) & done; wait",
    limits: soon,
    outcomes: ["wall_limit", "process_limit"],
  },
  "prints without end": { language: "bash", source: "yes", outcomes: ["output_limit"] },
  "complains without end": { language: "bash", source: "yes >&2", outcomes: ["output_limit"] },
  "prints a line of a gigabyte": {
    language: "bash",
    source: "head -c 1G /dev/zero | tr '\\0' x",
    outcomes: ["output_limit"],
  },
  "fills its disk": {
    language: "bash",
    source: "cat /dev/zero > x",
    outcomes: ["disk_limit"],
    limits: { fileBytes: 1024 * MiB },
  },
  "fills its disk with empty files": {
    language: "python",
    source: "for n in range(10**7): open(str(n), 'w').close()",
    limits: { diskBytes: MiB },
    outcomes: ["disk_limit"],
  },
};

describe("a program that", () => {
  test.each(Object.entries(attacks))(
    "%s is ended by its limits, and the next one is as well off",
    async (_, attack) => {
      const { language, source, limits, outcomes } = attack;
      const job = await target.run({ language, source, limits: { ...PATIENT_LIMITS, ...limits } });
      expect(job).toMatchObject({ state: "done", attempt: 1, error: null });
      expect(outcomes).toContain(job.result?.outcome);

      const next = await target.run({ ...well[language], language, limits: PATIENT_LIMITS });
      expect(next.result).toMatchObject({
        outcome: "exited",
        exitCode: 0,
        stdout: { content: "42\n" },
        worker: job.result?.worker,
      });
      await expect.poll(() => target.traces(), PATIENCE).toEqual(before);
    },
  );
});

describe("a program that is canceled", () => {
  test("whatever it does against it, is ended, and nothing of it is left", async () => {
    const source = "trap '' TERM INT HUP; setsid bash -c 'kill -STOP $$' & kill -STOP 0";
    const job = await target.post({ language: "bash", source, limits: { wallTimeMs: 300_000 } });
    await expect.poll(() => target.containerProcesses().length, PATIENCE).toBeGreaterThan(2);
    await target.cancel(job);
    expect(await target.finished(job)).toMatchObject({ state: "canceled", result: null });
    await expect.poll(() => target.traces(), PATIENCE).toEqual(before);
  });
});
