import { totalmem } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  // Some of it is always taken, most of it is not: who has been in the kernel for the better part of a second has to go.
  slot = await TestSlot.open("python", { memoryReserveBytes: totalmem() });
});
afterAll(() => slot[Symbol.asyncDispose]());

const limits = { wallTimeMs: 60_000, cpuTimeMs: 60_000, openFiles: 1024, memoryBytes: 32 * 1024 ** 2 };
const attempt = (program: string) => slot.attempt(slot.spec(["python3", "-c", program], { limits }));

/** A copy of each datagram waits in the error queue of its sender: up to 416 KiB for each socket, in no cgroup. */
const ERROR_QUEUES = `
import socket, struct
SO_TIMESTAMPING, TX_SOFTWARE = 37, 2
note = [(socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack("I", TX_SOFTWARE))]
while True:
    kept = []
    for _ in range(900):
        kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        kept[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        for _ in range(7): kept[-1].sendmsg([bytes(60_000)], note, 0, ("127.0.0.1", 9))`;

/** A lock is cut into two by each call. */
const LOCKS = `
import fcntl, itertools
file = open("x", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
for at in itertools.count(1 << 40, -2): fcntl.lockf(file, fcntl.LOCK_UN, 1, at)`;

describe("containers that wait", () => {
  const warmth = { containersMax: 1, idleMs: Infinity };

  it.each([
    ["are prepared while the machine has memory for them", 0, 1],
    ["are not prepared when it has none to spare", 4 * totalmem(), 0],
  ])("%s", async (_, memoryReserveBytes, waiting) => {
    await using other = await TestSlot.open("python", { memoryReserveBytes }, 1, warmth);
    await other.slot.prepareFor(other.spec(["true"]));
    expect(other.slot.waiting).toBe(waiting);
  });
});

describe("when the machine has no memory to spare, a program", () => {
  it.each([
    ["lets datagrams wait in error queues", ERROR_QUEUES],
    ["makes locks of a lock", LOCKS],
  ])("that %s is ended, and is not to blame for it by any limit of its own", async (_, program) => {
    expect(await attempt(program)).toEqual({ kind: "interrupted", reason: "no memory" });
  });

  it("that computes goes on to its end, since that takes nobody's memory", async () => {
    const result = await attempt("print(sum(number % 7 for number in range(7 * 10**6)))");
    expect(result).toMatchObject({ kind: "ended", outcome: "exited", exitCode: 0 });
    if (result.kind === "ended") expect(text(result.stdout)).toBe("21000000\n");
  });
});
