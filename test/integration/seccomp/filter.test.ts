import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultSeccompFilter, defaultSeccompProfile } from "../../../worker/container/seccomp/profile.ts";
import { BPF_INSTRUCTION_BYTES } from "../../../worker/linux/bpf/program.ts";
import { compileSeccompProfile } from "../../../worker/linux/seccomp.ts";
import type { Call } from "./confined.ts";

const { EPERM, ENOSYS, EAFNOSUPPORT, EBADF, EFAULT, EXDEV, ENOTTY } = constants.errno;
const onX64 = process.arch === "x64";

const directory = mkdtempSync(join(tmpdir(), "longshore-seccomp-"));
afterAll(() => rmSync(directory, { recursive: true }));

const confined = join(import.meta.dirname, "confined.ts");
const filterPath = join(directory, "default.bpf");
// Nobody is there who could be asked for sockets.
writeFileSync(filterPath, compileSeccompProfile(defaultSeccompProfile));

/** Makes the calls in a process under the filter. */
function answers(calls: readonly Call[], filter = filterPath): readonly number[] {
  const output = execFileSync(process.execPath, [confined, filter, JSON.stringify(calls)], {
    encoding: "utf8",
  });
  return JSON.parse(output);
}

/** Runs a program under the filter; it sees the test's own files, so only what the filter does can go wrong. */
function run(program: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [confined, filterPath, program, ...words], {
    encoding: "utf8",
    cwd: directory,
  });
  return { status, stdout, stderr };
}

function isInstalled(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

describe("the compiled default profile", () => {
  test("is a program the kernel takes: whole instructions, at most 4096", () => {
    const filter = defaultSeccompFilter();
    expect(filter.byteLength % BPF_INSTRUCTION_BYTES).toBe(0);
    expect(filter.byteLength / BPF_INSTRUCTION_BYTES).toBeGreaterThan(100);
    expect(filter.byteLength / BPF_INSTRUCTION_BYTES).toBeLessThanOrEqual(4096);
  });

  test("is the same program each time", () => {
    expect(compileSeccompProfile(defaultSeccompProfile)).toEqual(compileSeccompProfile(defaultSeccompProfile));
  });

  test("cannot be made for a machine that the profile does not list", () => {
    const foreign = { ...defaultSeccompProfile, architectures: ["SCMP_ARCH_S390X"] };
    expect(() => compileSeccompProfile(foreign)).toThrow("the seccomp profile is not for this machine");
  });

  test("skips names that no kernel has", () => {
    const rule = { names: ["brew_coffee", "getpid"], action: "SCMP_ACT_ALLOW" } as const;
    expect(compileSeccompProfile({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [rule] })).toEqual(
      compileSeccompProfile({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ ...rule, names: ["getpid"] }] }),
    );
  });
});

// Numbers from arch/x86/entry/syscalls/syscall_64.tbl. Run as root, the kernel alone would let most of these through.
describe.runIf(onX64)("under the default profile on x86_64", () => {
  test("namespaces, mounts, holes and the kernel's own matters are refused with EPERM", () => {
    const numbers = {
      unshare: 272,
      setns: 308,
      mount: 165,
      umount2: 166,
      pivot_root: 155,
      chroot: 161,
      open_tree: 428,
      move_mount: 429,
      fsopen: 430,
      fsconfig: 431,
      fsmount: 432,
      mount_setattr: 442,
      bpf: 321,
      perf_event_open: 298,
      userfaultfd: 323,
      io_uring_setup: 425,
      io_uring_enter: 426,
      io_uring_register: 427,
      keyctl: 250,
      add_key: 248,
      request_key: 249,
      ptrace: 101,
      process_vm_readv: 310,
      process_vm_writev: 311,
      process_madvise: 440,
      kcmp: 312,
      pidfd_getfd: 438,
      kexec_load: 246,
      kexec_file_load: 320,
      init_module: 175,
      finit_module: 313,
      delete_module: 176,
      open_by_handle_at: 304,
      name_to_handle_at: 303,
      fanotify_init: 300,
      quotactl: 179,
      swapon: 167,
      reboot: 169,
      acct: 163,
      syslog: 103,
      iopl: 172,
      ioperm: 173,
      settimeofday: 164,
      clock_settime: 227,
      adjtimex: 159,
      modify_ldt: 154,
      lookup_dcookie: 212,
      vhangup: 153,
      sethostname: 170,
    };
    const results = answers(Object.values(numbers).map((number): Call => ["native", number]));
    expect(Object.fromEntries(Object.keys(numbers).map((name, index) => [name, results[index]]))).toEqual(
      Object.fromEntries(Object.keys(numbers).map((name) => [name, -EPERM])),
    );
  });

  test("clone3 and calls that the profile does not know do not exist", () => {
    const calls: Call[] = [
      ["native", 435],
      ["native", 459],
      ["native", 600],
    ];
    expect(answers(calls)).toEqual([-ENOSYS, -ENOSYS, -ENOSYS]);
  });

  test("clone is refused with any namespace flag", () => {
    const clone = 56;
    const flags = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];
    expect(answers(flags.map((flag): Call => ["native", clone, flag | 17]))).toEqual(flags.map(() => -EPERM));
  });

  test("sockets are of AF_UNIX, AF_INET and AF_INET6 only", () => {
    const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK] = [1, 2, 10, 16, 17, 38, 40];
    const opened = answers([AF_UNIX, AF_INET, AF_INET6].map((family): Call => ["native", 41, family, 1]));
    expect(opened.map((result) => result >= 0 || result === -EAFNOSUPPORT)).toEqual([true, true, true]);
    expect(opened[0]).toBeGreaterThan(0);
    expect(opened[1]).toBeGreaterThan(0);
    const others = [0, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, 2 ** 32 + AF_UNIX];
    expect(answers(others.map((family): Call => ["native", 41, family, 3]))).toEqual(others.map(() => -EAFNOSUPPORT));
    expect(answers([["native", 53, AF_INET, 1]])).toEqual([-EAFNOSUPPORT]);
  });

  test("nothing can be typed into a terminal, also not with garbage above the command's 32 bits", () => {
    const commands = [0x5412, 0x541c, 2 ** 32 + 0x5412];
    expect(answers(commands.map((command): Call => ["native", 16, 999, command]))).toEqual([-EPERM, -EPERM, -EPERM]);
    // The kernel's own answers: the call came through.
    expect(answers([["native", 16, 999, 0x5413]])).toEqual([-EBADF]);
    expect([-ENOTTY, -EFAULT]).toContain(answers([["native", 16, 0, 0x541b]])[0]);
  });

  test("32-bit and x32 entry points do not exist, for allowed and refused calls alike", () => {
    const i386: Call[] = [20, 21, 120, 310].map((number) => ["i386", number]);
    const x32: Call[] = [39, 165, 272].map((number) => ["x32", number]);
    expect(answers([...i386, ...x32])).toEqual(Array.from({ length: 7 }, () => -ENOSYS));
    expect(answers([["native", 39]])[0]).toBeGreaterThan(0);
  });

  test("x32 is answered by the filter, not by a kernel that happens to lack it", () => {
    const path = join(directory, "marked.bpf");
    const filter = Buffer.from(compileSeccompProfile({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [] }));
    // Everything else being allowed, the only ENOSYS in the program is the one for foreign entry points: mark it.
    const SECCOMP_RET_ERRNO = 0x00050000;
    let marked = 0;
    for (let offset = 4; offset < filter.length; offset += BPF_INSTRUCTION_BYTES) {
      if (filter.readUInt32LE(offset) !== SECCOMP_RET_ERRNO + ENOSYS) continue;
      filter.writeUInt32LE(SECCOMP_RET_ERRNO + EXDEV, offset);
      marked++;
    }
    expect(marked).toBeGreaterThan(0);
    writeFileSync(path, filter);
    const calls: Call[] = [
      ["x32", 39],
      ["x32", 520],
      ["i386", 20],
    ];
    expect(answers(calls, path)).toEqual([-EXDEV, -EXDEV, -EXDEV]);
  });
});

describe("programs under the default profile", () => {
  test("bash runs pipelines, background jobs, substitutions and traps", () => {
    const script =
      'trap "echo bye" EXIT; (sleep 0 & wait); seq 3 | sort -r | tr "\\n" " "; mkfifo f; echo hi > f & cat < f';
    expect(run("bash", "-c", script)).toEqual({ status: 0, stdout: "3 2 1 hi\nbye\n", stderr: "" });
  });

  test.runIf(isInstalled("python3"))("python runs threads, subprocesses, a process pool, sockets and asyncio", () => {
    const script = `
import asyncio, concurrent.futures, os, shutil, socket, subprocess, tempfile, threading
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
with concurrent.futures.ProcessPoolExecutor(2) as pool: print(sum(pool.map(abs, [-1, -2])))
with concurrent.futures.ThreadPoolExecutor(2) as pool: print(sum(pool.map(abs, [-3, -4])))
server = socket.create_server(("127.0.0.1", 0)); threading.Thread(target=lambda: server.accept()[0].sendall(b"tcp")).start()
print(socket.create_connection(server.getsockname()).recv(3).decode())
async def main():
    process = await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0].decode().strip())
asyncio.run(main())
with tempfile.TemporaryDirectory() as d:
    open(d + "/a", "w").write("copied"); shutil.copy2(d + "/a", d + "/b"); os.chmod(d + "/b", 0o600, follow_symlinks=True); print(open(d + "/b").read())
`;
    expect(run("python3", "-c", script)).toEqual({
      status: 0,
      stdout: "child\n3\n7\ntcp\nasync\ncopied\n",
      stderr: "",
    });
  });

  test("node runs worker threads, child processes and sockets", () => {
    const script = `
const { Worker } = require("node:worker_threads"); const net = require("node:net");
console.log(require("node:child_process").execSync("echo child").toString().trim());
new Worker("require('node:worker_threads').parentPort.postMessage('thread')", { eval: true }).on("message", (text) => {
  console.log(text);
  const server = net.createServer((socket) => socket.end("tcp")).listen(0, "127.0.0.1", () =>
    net.connect(server.address().port, "127.0.0.1").on("data", (data) => { console.log(String(data)); server.close(); }));
});`;
    expect(run(process.execPath, "-e", script)).toEqual({ status: 0, stdout: "child\nthread\ntcp\n", stderr: "" });
  });

  test.runIf(isInstalled("gcc"))("gcc compiles, and a program of threads, semaphores and timers runs", () => {
    const source = `
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
static sem_t ready;
static void *run(void *text) { puts(text); sem_post(&ready); return 0; }
int main(void) {
  pthread_t thread; struct timespec nap = { 0, 1000 };
  sem_init(&ready, 0, 0); pthread_create(&thread, 0, run, "thread"); sem_wait(&ready); pthread_join(thread, 0);
  nanosleep(&nap, 0); puts("main"); return 0;
}`;
    writeFileSync(join(directory, "threads.c"), source);
    expect(run("gcc", "-O2", "-pthread", "-o", "threads", "threads.c")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(run("./threads")).toEqual({ status: 0, stdout: "thread\nmain\n", stderr: "" });
  });
});
