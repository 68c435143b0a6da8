import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MiB, TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open();
});
afterAll(() => slot[Symbol.asyncDispose]());

describe("CPU time", () => {
  it("ends a busy loop at its limit", async () => {
    const result = await slot.bash("while :; do :; done", { limits: { cpuTimeMs: 300 } });
    expect(result.outcome).toBe("cpu_limit");
    expect(result.usage.cpuTimeMs).toBeGreaterThanOrEqual(300);
    expect(result.usage.cpuTimeMs).toBeLessThan(600);
  });

  it("counts all processes together, also those that nobody waited for", async () => {
    const busy = "(while :; do :; done)";
    const result = await slot.bash(`${busy} & ${busy} & sleep 100`, { limits: { cpuTimeMs: 300, cpus: 2 } });
    expect(result.outcome).toBe("cpu_limit");
    expect(result.usage.cpuTimeMs).toBeGreaterThanOrEqual(300);
  });

  it("is not spent by a program that sleeps", async () => {
    const result = await slot.bash("sleep 2", { limits: { cpuTimeMs: 1500 } });
    expect(result).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(result.usage.wallTimeMs).toBeGreaterThanOrEqual(2000);
    expect(result.usage.cpuTimeMs).toBeLessThan(1500);
  });

  it("is given out at the rate of the cpus asked for", async () => {
    const result = await slot.bash("while :; do :; done", { limits: { cpus: 0.2, cpuTimeMs: 200 } });
    expect(result.outcome).toBe("cpu_limit");
    // 200 ms of CPU at 20 ms in every 100 ms take ten periods, of which the first may start at once.
    expect(result.usage.wallTimeMs).toBeGreaterThan(700);
  });
});

describe("wall time", () => {
  it("ends a program that sleeps", async () => {
    const result = await slot.bash("echo before; sleep 100", { limits: { wallTimeMs: 2000 } });
    expect(result).toMatchObject({ outcome: "wall_limit", exitCode: null, signal: "SIGKILL" });
    expect(text(result.stdout)).toBe("before\n");
  });

  it.each([
    ["stopped itself", "kill -STOP $$; echo never"],
    ["stopped its process group", "kill -STOP 0"],
    ["ignores SIGTERM and hides in a session of its own", "trap '' TERM HUP INT; setsid sleep 100 & setsid sleep 100"],
    ["double-forked", "((sleep 100 &) &); sleep 100"],
  ])("ends one that %s", async (_, script) => {
    const result = await slot.bash(script, { limits: { wallTimeMs: 300 } });
    expect(result.outcome).toBe("wall_limit");
  });
});

describe("memory", () => {
  it("ends the container of a program that allocates more than its limit", async () => {
    const result = await slot.python("x = bytearray(1 << 30); print(len(x))");
    expect(result).toMatchObject({ outcome: "memory_limit", signal: "SIGKILL" });
    expect(text(result.stdout)).toBe("");
  });

  it("ends the whole container when a child of the program is the one that was killed", async () => {
    const result = await slot.bash("python3 -c 'x = bytearray(1 << 30)'; sleep 100; echo never");
    expect(result.outcome).toBe("memory_limit");
    expect(text(result.stdout)).toBe("");
  });

  it("is enough for a program that stays below its limit, and its peak is reported", async () => {
    const result = await slot.python("x = bytearray(64 << 20); print(len(x))");
    expect(result.outcome).toBe("exited");
    expect(result.usage.memoryPeakBytes).toBeGreaterThan(64 * MiB);
    expect(result.usage.memoryPeakBytes).toBeLessThan(128 * MiB);
    expect(result.usage.maxRssBytes).toBeGreaterThan(64 * MiB);
  });

  it("bounds what sockets buffer that nobody reads from", async () => {
    const program = `
import socket
server = socket.create_server(("127.0.0.1", 0), backlog=100)
buffered, pairs = 0, []
for _ in range(24):
    client = socket.create_connection(server.getsockname()); client.setblocking(False)
    pairs.append((client, server.accept()[0]))
    try:
        while True: buffered += client.send(bytes(1 << 16))
    except BlockingIOError: pass
print(buffered >> 20)`;
    const result = await slot.python(program, { limits: { memoryBytes: 32 * MiB } });
    // In the 32 MiB are the program itself and what is not yet counted; without a limit it is 8 MiB for each pair.
    expect(Number(text(result.stdout) || 0)).toBeLessThan(64);
  });

  it("counts files in /tmp and /dev/shm", async () => {
    const script = "head -c 90M /dev/zero > /tmp/a; head -c 90M /dev/zero > /dev/shm/b; echo never";
    const result = await slot.bash(script, { limits: { diskBytes: 100 * MiB, fileBytes: 100 * MiB } });
    expect(result.outcome).toBe("memory_limit");
  });
});

describe("processes", () => {
  it("stops a fork bomb from growing, and says so", async () => {
    const program = "import os, time\nwhile True:\n  if os.fork() == 0: time.sleep(100)";
    const result = await slot.python(program, { limits: { processes: 10 } });
    expect(result.outcome).toBe("process_limit");
    expect(result.usage.processesPeak).toBeLessThanOrEqual(10);
  });

  it("lets a program have exactly as many as its limit", async () => {
    const many = (count: number) => `for i in $(seq ${count}); do sleep 5 & done; echo started; kill $(jobs -p)`;
    expect(await slot.bash(many(4), { limits: { processes: 6 } })).toMatchObject({ outcome: "exited", exitCode: 0 });
    const exceeded = await slot.python("import subprocess\nfor i in range(6): subprocess.Popen(['sleep', '5'])", {
      limits: { processes: 6 },
    });
    expect(exceeded.outcome).toBe("process_limit");
  });

  it("counts threads", async () => {
    const program =
      "import threading, time\nfor i in range(20): threading.Thread(target=time.sleep, args=(9,)).start()";
    const result = await slot.python(program, { limits: { processes: 10, wallTimeMs: 3000 } });
    expect(["process_limit", "wall_limit"]).toContain(result.outcome);
    expect(text(result.stderr)).toContain("can't start new thread");
  });
});

describe("output", () => {
  it("is cut at its limit, kept up to there, and ends the run", async () => {
    const result = await slot.bash("yes", { limits: { outputBytes: 10_000 } });
    expect(result.outcome).toBe("output_limit");
    expect(result.stdout).toMatchObject({ truncated: true });
    expect(text(result.stdout)).toBe("y\n".repeat(5000));
  });

  it("may be exactly as much as its limit", async () => {
    const result = await slot.bash("head -c 100000 /dev/zero", { limits: { outputBytes: 100_000 } });
    expect(result).toMatchObject({ outcome: "exited", stdout: { truncated: false } });
    expect(result.stdout.content.byteLength).toBe(100_000);
  });

  it("has a limit on stderr, too, with stdout kept", async () => {
    const result = await slot.bash("echo kept; yes >&2", { limits: { outputBytes: 1000 } });
    expect(result.outcome).toBe("output_limit");
    expect(text(result.stdout)).toBe("kept\n");
    expect(result.stderr.content.byteLength).toBe(1000);
  });

  it("comes as the bytes that were written", async () => {
    const result = await slot.python("import sys; sys.stdout.buffer.write(bytes(range(256)) * 300)");
    expect(
      Buffer.from(result.stdout.content).equals(Buffer.from(Array.from({ length: 76_800 }, (_, i) => i % 256))),
    ).toBe(true);
  });

  it("of a child that outlives the program is not waited for", async () => {
    const result = await slot.bash("(sleep 100; echo never) & echo done");
    expect(result).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(text(result.stdout)).toBe("done\n");
  });

  it("can be written through /dev/stdout, /dev/stderr and /dev/fd", async () => {
    const result = await slot.bash("echo a > /dev/stdout; echo b > /dev/stderr; echo c > /dev/fd/1");
    expect([text(result.stdout), text(result.stderr)]).toEqual(["a\nc\n", "b\n"]);
  });
});

describe("disk", () => {
  it.each(["/work/f", "/tmp/f", "/dev/shm/f"])("is full at its limit in %s", async (path) => {
    const result = await slot.bash(`head -c 100M /dev/zero > ${path}`, { limits: { diskBytes: 4 * MiB } });
    expect(result.outcome).toBe("disk_limit");
    expect(text(result.stderr)).toContain("No space left on device");
  });

  it("is full when there are no more inodes", async () => {
    const program = "for i in range(10**6): open(f'/work/{i}', 'w').close()";
    const result = await slot.python(program, { limits: { diskBytes: 1 * MiB } });
    expect(result.outcome).toBe("disk_limit");
  });

  it("does not fail a program that copes", async () => {
    const result = await slot.bash("head -c 100M /dev/zero > f 2> /dev/null; echo on", { limits: { diskBytes: MiB } });
    expect(result).toMatchObject({ outcome: "exited", exitCode: 0 });
  });

  it("ends a program that writes a file larger than fileBytes", async () => {
    const result = await slot.bash("exec head -c 2M /dev/zero > f", { limits: { fileBytes: MiB } });
    expect(result).toMatchObject({ outcome: "disk_limit", signal: "SIGXFSZ" });
  });
});

describe("open files and stack", () => {
  it("are limited for each process", async () => {
    const result = await slot.bash("ulimit -n; ulimit -s; ulimit -c", {
      limits: { openFiles: 33, stackBytes: 4 * MiB },
    });
    expect(text(result.stdout)).toBe("33\n4096\n0\n");
  });
});
