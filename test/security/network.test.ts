/** Ways out of a container's network. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Target } from "./target.ts";

let target: Target;
/** Servers of the machine that answer whoever gets through to them. */
let reachable: Server;
let abstract: Server;
const name = `longshore-${randomUUID()}`;
beforeAll(async () => {
  target = await Target.open();
  reachable = createServer((socket) => socket.end("reached")).listen(0, "::");
  abstract = createServer((socket) => socket.end("reached")).listen(`\0${name}`);
  await Promise.all([once(reachable, "listening"), once(abstract, "listening")]);
});
afterAll(async () => {
  reachable.close();
  abstract.close();
  await target[Symbol.asyncDispose]();
});

describe("a program", () => {
  test("reaches no server of the machine's, no service's and no cloud's", async () => {
    const address = reachable.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    // Whoever is on the machine gets through, so that not to get through says something.
    const ways = [connect({ host: "127.0.0.1", port }), connect({ host: "::1", port }), connect(`\0${name}`)];
    expect(await Promise.all(ways.map((way) => text(way)))).toEqual(["reached", "reached", "reached"]);
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const places = [
      ...["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", ...own.map((one) => one.address)].map((host) => [host, port]),
      ...target.ports.map((service) => ["127.0.0.1", service]),
      ...["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.2.1", "2001:db8::1"].map((host) => [host, 80]),
    ];
    const source = `
import json, socket, sys
for host, port in json.loads(sys.argv[1]):
    try:
        with socket.create_connection((host.split("%")[0], port), timeout=2): print("connected", host, port)
    except OSError: pass
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        try:
            datagram.connect((host.split("%")[0], port))
            if not host.startswith(("127.", "::1", "0.0.0.0")): print("a route to", host)
        except OSError: pass
with socket.socket(socket.AF_UNIX) as unix:
    try: unix.connect("\\0" + sys.argv[2]); print("connected to an abstract socket")
    except OSError: pass
try: print(socket.getaddrinfo("example.com", 80))
except OSError: pass`;
    expect(await target.output({ language: "python", source, arguments: [JSON.stringify(places), name] })).toBe("");
  });

  test("gets no socket of protocols for which the kernel would load a module, and those of TCP and UDP", async () => {
    const source = `
import errno, fcntl, socket
STREAM, DGRAM, DCCP, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, 6, socket.SOCK_SEQPACKET
# What a kernel has built in is made at once where nobody refuses it: UDP-Lite, MPTCP, ping.
ICMP, DCCP_, L2TP, ICMPV6, SCTP, UDPLITE, SMC, MPTCP = 1, 33, 115, 58, 132, 136, 256, 262
refused = [(STREAM, protocol) for protocol in (ICMP, 17, DCCP_, SCTP, SMC, MPTCP, 1 << 16 | 6)]
refused += [(DGRAM, protocol) for protocol in (ICMP, ICMPV6, 6, L2TP, UDPLITE, 143, 1 << 16 | 17)]
refused += [(kind, protocol) for kind in (DCCP, SEQPACKET, 4, 10, 15) for protocol in (0, 6, 17, DCCP_, SCTP)]
for family in (socket.AF_INET, socket.AF_INET6):
    for kind, protocol in refused:
        for flags in (0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC):
            try: socket.socket(family, kind | flags, protocol).close(); print("made", family, kind, protocol)
            except OSError as error:
                if error.errno != errno.EPROTONOSUPPORT: print(family, kind, protocol, error.strerror)
    for kind, protocol in ((STREAM, 0), (STREAM, 6), (DGRAM, 0), (DGRAM, 17)):
        for flags in (0, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC): socket.socket(family, kind | flags, protocol).close()
# Nor by what sockets can be asked of bridges and VLANs, of which the kernel may have neither.
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for request in (0x8940, 0x8941, 0x8982, 0x8983, 0x89a0, 0x89a1, 0x89a2, 0x89a3):
        for word in (request, request | 1 << 16, request - (1 << 32)):
            try: fcntl.ioctl(control, word, bytes(64)); print("asked", hex(request))
            except OSError as error:
                if error.errno != errno.ENOPKG: print(hex(request), error.strerror)
print("tried")`;
    expect(await target.output({ language: "python", source })).toBe("tried\n");
  });

  test("gets no socket to ask the kernel or a hypervisor with, and makes no device", async () => {
    const source = `
import fcntl, socket, struct
AF_ALG, AF_VSOCK, AF_XDP, AF_BLUETOOTH, AF_CAN, AF_TIPC = 38, 40, 44, 31, 29, 30
families = [socket.AF_NETLINK, socket.AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP, AF_BLUETOOTH, AF_CAN, AF_TIPC]
attempts = [(family, kind) for family in families for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)]
attempts += [(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
             (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)]
for attempt in attempts:
    try: socket.socket(*attempt).close(); print(attempt)
    except OSError: pass
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for request in (SIOCSIFFLAGS, SIOCSIFADDR):
        try: fcntl.ioctl(control, request, struct.pack("16sH22x", b"lo", 0)); print("the loopback was changed")
        except OSError: pass`;
    expect(await target.output({ language: "python", source })).toBe("");
  });
});
