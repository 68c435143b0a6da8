import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VolumeMount } from "../../../worker/container/spec.ts";
import { TestSlot, text } from "../../support/container.ts";

/** Two slots, as a program and its helper have them. */
let one: TestSlot;
let other: TestSlot;
beforeAll(async () => {
  one = await TestSlot.open();
  other = await TestSlot.open("python", {}, 1);
});
afterAll(async () => {
  await one[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

const PORT = 7000;

const server = `
import socket
with socket.create_server(("127.0.0.1", ${PORT})) as listener:
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100)[::-1])`;

/** Tries until somebody listens, for as long as its limit lets it. */
const client = `
import socket
while True:
    try:
        with socket.create_connection(("127.0.0.1", ${PORT})) as connection:
            connection.sendall(b"olleh")
            print(connection.recv(100).decode())
            break
    except ConnectionRefusedError:
        pass`;

const interfaces = "print([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]])";

describe("containers that join a network", () => {
  it("talk to each other over its loopback", async () => {
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    const [served, asked] = await Promise.all([one.python(server, joined), other.python(client, joined)]);
    expect(served).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(text(asked.stdout)).toBe("hello\n");
  });

  it("find nothing else in it, and nobody who has not joined finds them", async () => {
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    expect(text((await other.python(interfaces, joined)).stdout)).toBe("['lo']\n");
    const serving = one.python(server, joined);
    const refused = await other.python(client, { limits: { wallTimeMs: 500 } });
    expect(refused.outcome).toBe("wall_limit");
    expect(text((await other.python(client, joined)).stdout)).toBe("hello\n");
    expect(await serving).toMatchObject({ exitCode: 0 });
  });

  it("leave the network to those that come after them, and a slot's next container gets its own", async () => {
    const link = "import os; print(os.readlink('/proc/self/ns/net'))";
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    const first = text((await one.python(link, joined)).stdout);
    expect(text((await one.python(link, joined)).stdout)).toBe(first);
    expect(text((await one.python(link)).stdout)).not.toBe(first);
    using another = await one.slot.openNetwork();
    const elsewhere = { network: { kind: "join", descriptor: another.descriptor } } as const;
    expect(text((await one.python(link, elsewhere)).stdout)).not.toBe(first);
  });
});

/** Whatever the kernel tells of the network that a program is in; sockets allocated and their memory are the machine's. */
const look = `
import re
for name in "dev", "snmp", "snmp6", "netstat", "sockstat", "sockstat6", "tcp", "tcp6", "udp", "udp6", "unix", "route":
    with open("/proc/net/" + name) as file:
        print(name, re.sub(r" (alloc|mem) \\d+", "", file.read()))`;

/** Ways to leave something in a network: counters of packets, a port in TIME_WAIT, names that sockets have. */
const traces = {
  "a connection": `
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    connection, _ = listener.accept()
    connection.close()
    client.recv(1)
    client.close()`,
  "a packet over IPv6": `
import socket
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("::1", 9))`,
  "an abstract socket that only its own messages hold": `
import array, socket
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
one.bind("\\0name")
for socket_, fd in ((one, other), (other, one)):
    socket_.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd.fileno()]))])`,
};

/** For what takes a second, and a hundred times that where the processor is emulated. */
const patient = { cpuTimeMs: 60_000, wallTimeMs: 100_000 };

describe("the network of a single container", () => {
  it("is the next one's, too, while no program makes a socket", async () => {
    const link = "import os; print(os.readlink('/proc/self/ns/net'))";
    // Without a HOME Python asks glibc, and that a name server on a unix socket.
    const environment = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/work" };
    const networks = [];
    for (let run = 0; run < 4; run++) networks.push(text((await one.python(link, { environment })).stdout));
    expect(networks.at(-1)).toBe(networks.at(-2));
  });

  it.each(["socket(AF_UNIX)", "socketpair()[0]", "socket()", "socket(AF_INET6)"])(
    "is nobody else's after %s",
    async (call) => {
      // SO_NETNS_COOKIE: unlike the number of the inode, no network ever has another's.
      const cookie = `from socket import *; print(${call}.getsockopt(SOL_SOCKET, 71, 8))`;
      const cookies = new Set<string>();
      for (let run = 0; run < 3; run++) cookies.add(text((await one.python(cookie)).stdout));
      expect(cookies.size).toBe(3);
    },
  );

  it.each(Object.entries(traces))("tells the next program nothing of %s", async (_, source) => {
    const before = text((await one.python(look)).stdout);
    expect(await one.python(source)).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(text((await one.python(look)).stdout)).toBe(before);
  });

  it("is not seen by a program that an earlier one has left a file of /proc to", async () => {
    const directory = mkdtempSync(join(tmpdir(), "longshore-network-"));
    using _removal = { [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
    chmodSync(directory, 0o777);
    const volumes: VolumeMount[] = [{ source: directory, at: "/work/shared", mode: "rw", whenEmpty: "leave" }];
    const watcher = `
import os, socket
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind("shared/socket")
    listener.listen()
    open("shared/listening", "w").close()
    connection, _ = listener.accept()
    _, [file], _, _ = socket.recv_fds(connection, 1, 1)
seen = 0
while not os.path.exists("shared/stop"):
    seen += os.pread(file, 65536, 0).count(b":${PORT.toString(16).toUpperCase()} ")
print(seen)`;
    const giver = `
import os, socket
while not os.path.exists("shared/listening"): pass
with socket.socket(socket.AF_UNIX) as connection, open("/proc/net/tcp") as file:
    connection.connect("shared/socket")
    socket.send_fds(connection, [b"x"], [file.fileno()])`;
    const listening = `
import socket, time
with socket.create_server(("127.0.0.1", ${PORT})): time.sleep(0.2)`;

    const watching = other.python(watcher, { volumes, limits: patient });
    expect(await one.python(giver, { volumes, limits: patient })).toMatchObject({ outcome: "exited", exitCode: 0 });
    for (let run = 0; run < 3; run++) expect(await one.python(listening)).toMatchObject({ exitCode: 0 });
    writeFileSync(join(directory, "stop"), "");
    expect(text((await watching).stdout)).toBe("0\n");
    expect(existsSync(join(directory, "listening"))).toBe(true);
  });

  it("has as many sockets as programs ask for, in all of their threads and processes", async () => {
    const source = `
import os, socket
from concurrent.futures import ThreadPoolExecutor
def make(_):
    with socket.socket() as it: return it.fileno() >= 0
child = os.fork()
with ThreadPoolExecutor(4) as pool: assert all(pool.map(make, range(100)))
if child != 0: assert os.waitpid(child, 0)[1] == 0`;
    expect(await one.python(source, { limits: patient })).toMatchObject({ outcome: "exited", exitCode: 0 });
  });

  it("is asked for a thousand sockets at once, and for a thousand a second from then on", async () => {
    const source = `
import resource, socket, time
began, made = time.monotonic(), 0
while time.monotonic() < began + 0.3:
    socket.socket().close()
    made += 1
print(made <= 1001 + 1000 * (time.monotonic() - began), made > 1000 or made)`;
    expect(text((await one.python(source)).stdout)).toMatch(/^True/);
  });

  it("does not keep a program that asks for sockets from being ended", async () => {
    const source = "import os, socket\nfor process in range(4): os.fork()\nwhile True: socket.socket().close()";
    expect(await one.python(source, { limits: { wallTimeMs: 300 } })).toMatchObject({ outcome: "wall_limit" });
  });
});
