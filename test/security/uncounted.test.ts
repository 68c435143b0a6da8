/** Memory that the kernel charges nobody for, and what it counts for each user: ways past a container's limits. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
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

/** Fills its sockets with what nobody reads, by as many processes as it may have, then says so. */
const FLOOD = `
import os, socket, time
def fill():
    kept = []
    while True:
        try:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); kept.append(one)
            one.bind(("127.0.0.1", 0)); one.connect(one.getsockname()); one.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF): one.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
            for _ in range(10): one.send(bytes(60_000))
        except BlockingIOError: pass
        except OSError: return kept
readers = []
for _ in range(4):
    reader, writer = os.pipe()
    if os.fork() == 0: kept = fill(); os.write(writer, b"x"); time.sleep(300)
    readers.append(reader)
for reader in readers: os.read(reader, 1)
open("/tmp/ready", "w").close()
time.sleep(300)`;

/** What all sockets of the machine have in their buffers, in bytes. */
function socketBuffers(): number {
  const pages = [...readFileSync("/proc/net/sockstat", "utf8").matchAll(/^(?:TCP|UDP):.* mem (\d+)$/gm)];
  return pages.reduce((sum, [, count]) => sum + Number(count) * 4096, 0);
}

describe("what the whole machine has so much of and no more", () => {
  test("is not taken as code of filters for sockets, and other options of sockets are as ever", async () => {
    const source = `
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
SETSOCKOPT, SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF = 54, 26, 50, 51, 52
class Instruction(ctypes.Structure): _fields_ = [("code", ctypes.c_uint16), ("jumps", ctypes.c_uint16), ("k", ctypes.c_uint32)]
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction))]
accept = Program(1, ctypes.pointer(Instruction(6, 0, 65535)))
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); tcp = socket.socket()
high = 1 << 32
refused = (SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF)
for option in refused:
    for level, name in ((socket.SOL_SOCKET, option), (socket.SOL_SOCKET | high, option), (socket.SOL_SOCKET, option | high)):
        words = (SETSOCKOPT, udp.fileno(), level, name)
        result = libc.syscall(*map(ctypes.c_long, words), ctypes.byref(accept), ctypes.c_long(ctypes.sizeof(accept)))
        answer = errno.errorcode.get(ctypes.get_errno()) if result < 0 else "attached"
        if answer not in ("ENOPROTOOPT", "ENOSYS"): print(option, answer)
for one in (udp, tcp):
    for option in set(range(1, 100)).difference(refused):
        # The kernel's own answer, whatever it is: the filter's is that there is no such call.
        try: one.setsockopt(socket.SOL_SOCKET, option, bytes(16))
        except OSError as error:
            if error.errno == errno.ENOSYS: print("option", option, "is none")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 3)
udp.setsockopt(socket.IPPROTO_UDP, 103, 1400)
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); tcp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)
print("as ever")`;
    expect(await target.output(python(source))).toBe("as ever\n");
  });
});

describe("buffers of sockets, of which the machine has so many for all", () => {
  test("are the container's, and end where its memory does", async () => {
    const memoryBytes = 64 * 1024 * 1024;
    const limits = { memoryBytes, openFiles: 300, wallTimeMs: 300_000, cpuTimeMs: 60_000 };
    const before = socketBuffers();
    const staying = await target.post(python(FLOOD, { limits }));
    let [isOver, most] = [false, 0];
    // On v2 what is in buffers is memory like any other, and the program ends of it.
    const end = target.finished(staying).then(() => (isOver = true));
    const look = () => {
      most = Math.max(most, socketBuffers() - before);
      return isOver || target.containerProcesses().some((pid) => existsSync(`/proc/${pid}/root/tmp/ready`));
    };
    await expect.poll(look, PATIENCE).toBe(true);
    // A hundred and sixty sockets would fill it, and there are a thousand.
    expect(most).toBeGreaterThan(memoryBytes / 16);
    expect(most).toBeLessThan(memoryBytes);
    await target.cancel(staying);
    await end;
  });
});

/** How many sockets of the machine's have nobody any more, and wait for an answer. */
function orphans(): number {
  return Number(/^TCP: .* orphan (\d+)/m.exec(readFileSync("/proc/net/sockstat", "utf8"))?.[1]);
}

describe("sockets that nobody has any more, of which the machine has so many for all", () => {
  test("are gone soon after their program, also where nothing that would end them reaches them", async () => {
    const before = orphans();
    const source = `
import errno, socket
IP_MINTTL, TCP_MD5SIG, TCP_ULP, TCP_AO_ADD_KEY = 21, 14, 31, 38
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
address = listener.getsockname()
held = []
for number in range(1000):
    client = socket.create_connection(address); server, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255); client.send(b"x"); held.append(server)
    if number % 5: client.close()
    else: held.append(client)
for option in (TCP_MD5SIG, TCP_ULP, TCP_AO_ADD_KEY):
    try: held[-1].setsockopt(socket.IPPROTO_TCP, option, b"tls"); print(option)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT: print(option, error)
print("made")`;
    expect(await target.output(python(source, { limits: { openFiles: 2000 } }))).toBe("made\n");
    await expect.poll(orphans, PATIENCE).toBeLessThan(before + 500);
  });
});

describe("room for filters", () => {
  test("is not taken by filters of system calls either, by which nobody's container could be made any more", async () => {
    const source = `
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
PRCTL, SECCOMP, SET_NO_NEW_PRIVS, SET_SECCOMP, STRICT, FILTER, NEW_LISTENER = 157, 317, 38, 22, 1, 2, 8
class Instruction(ctypes.Structure): _fields_ = [("code", ctypes.c_uint16), ("jumps", ctypes.c_uint16), ("k", ctypes.c_uint32)]
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction))]
allow = Program(1, ctypes.pointer(Instruction(6, 0, 0x7fff0000)))
high = 1 << 32
attempts = {f"prctl {option:x} {mode}": (PRCTL, option, mode) for option in (SET_SECCOMP, SET_SECCOMP | high) for mode in (STRICT, FILTER)}
attempts |= {f"seccomp {operation:x} {flags}": (SECCOMP, operation, flags) for operation in (0, 1, 1 | high) for flags in (0, NEW_LISTENER)}
for name, words in attempts.items():
    # In a child: the strict mode would leave it nothing to print with.
    if os.fork() == 0:
        result = libc.syscall(*map(ctypes.c_long, words), ctypes.byref(allow), ctypes.c_long(0), ctypes.c_long(0))
        os._exit(0 if result < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EINVAL) else 1)
    if os.wait()[1] != 0: print(name)
modes = [line for line in open("/proc/self/status") if line.startswith("Seccomp_filters")]
print(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), *modes)`;
    expect(await target.output(python(source))).toBe("0 Seccomp_filters:\t1\n\n");
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
