/** Attacks that ask each layer of defence for something, each so that it harms nothing where it gets through. */

/**
 * A Python program that prints a line for each attack that gets through. Its first argument is JSON:
 *   public, private   files of the machine: everybody's to read, and root's
 *   pid               a process of the machine
 *   port              of a server on the machine's loopback
 *   memory            id of a shared memory segment (System V) of the machine, root's
 */
export const ATTACKS = String.raw`
import ctypes, errno, json, os, socket, stat, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_long
aim = json.loads(sys.argv[1])

def call(function, *words):
    result = function(*words)
    if result < 0: raise OSError(ctypes.get_errno(), "")
    return result

def system_call(number, *words):
    # The last ones lie on the stack, where an int would leave half of a word as it is.
    return call(libc.syscall, number, *(ctypes.c_long(word) if isinstance(word, int) else word for word in words))

def open_any(path, flags):
    roots = ["", "/..", "/proc/1/root", "/proc/self/root/..", f"/proc/{aim['pid']}/root"]
    for root in roots:
        try: return os.close(os.open(root + path, flags))
        except OSError: pass
    raise PermissionError(errno.EACCES, "")

def make_device():
    os.mknod("/tmp/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    open("/tmp/zero", "rb").read(1)

def read_memory():
    # One byte of a page that nobody has: it is the permission that is asked for.
    class Piece(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    own, other = Piece(ctypes.cast(ctypes.create_string_buffer(1), ctypes.c_void_p).value, 1), Piece(1, 1)
    try: system_call(310, aim["pid"], ctypes.byref(own), 1, ctypes.byref(other), 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT: raise

def open_by_handle():
    handle, mount = ctypes.create_string_buffer(136), ctypes.c_int()
    handle[0:4] = (128).to_bytes(4, "little")
    system_call(303, -100, b"/dev/shm", handle, ctypes.byref(mount), 0)
    system_call(304, os.open("/dev/shm", os.O_RDONLY), handle, os.O_RDONLY)

def run(program):
    subprocess.run([program, "/shipped/private"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def insist_on_user():
    # Root can read the file anyway: that it is read would say nothing.
    if os.getuid() == 0: raise PermissionError(errno.EACCES, "")

ADD_KEY, PROCESS_KEYRING, CLONE_NEWUSER = 248, -2, 0x10000000
attacks = {
    "reading the machine's public files": lambda: open_any(aim["public"], os.O_RDONLY),
    "reading root's files": lambda: open_any(aim["private"], os.O_RDONLY),
    "writing the machine's files": lambda: open_any(aim["public"], os.O_WRONLY),
    "setting the kernel's parameters": lambda: os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
    "mounting": lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    "changing the root": lambda: os.chroot("/tmp"),
    "making a user namespace": lambda: call(libc.unshare, CLONE_NEWUSER),
    "using a device that the image ships": lambda: open("/shipped/zero", "rb").read(1),
    "making a device": make_device,
    "a set-user-id program": lambda: (insist_on_user(), run("/shipped/set-user-id")),
    "a program with file capabilities": lambda: (insist_on_user(), run("/shipped/capable")),
    "reading the memory of the machine's processes": read_memory,
    "signaling the machine's processes": lambda: os.kill(aim["pid"], 0),
    "connecting to the machine's servers": lambda: socket.create_connection(("127.0.0.1", aim["port"]), timeout=5).close(),
    "raw sockets": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
    "packet sockets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close(),
    "using keyrings": lambda: system_call(ADD_KEY, b"user", b"longshore", b"x", 1, PROCESS_KEYRING),
    "opening files by handle": open_by_handle,
    "the machine's shared memory": lambda: libc.shmdt(ctypes.c_void_p(call(libc.shmat, aim["memory"], None, 0))),
}
# Each by a process of its own: what one changes about itself is not in the way of the next.
for name, attack in attacks.items():
    child = os.fork()
    if child == 0:
        try: attack(); os._exit(0)
        except (OSError, subprocess.CalledProcessError): os._exit(1)
        finally: os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0: print(name, flush=True)
    elif status != 1: print(name, "was not tried", file=sys.stderr)
`;

/** All attacks, in the program's order. */
export const ATTACK_NAMES: readonly string[] = [...ATTACKS.matchAll(/^ {4}"([^"]+)": /gm)].flatMap(
  ([, name]) => name ?? [],
);
