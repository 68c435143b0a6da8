/** Containers that wait for their runs: what the tests of other containers cannot tell, which all pass with them as well. */
import { cpSync, mkdtempDisposableSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { ContainerSpec, RunResult } from "../../../worker/container/spec.ts";
import { MiB, TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open("bash", {}, 0, { containersMax: 2, idleMs: 60_000 });
});
afterAll(() => slot[Symbol.asyncDispose]());

/** Runs a script as often as it takes until a container waits for the next like it. */
async function warmUp(script: string, changes: Parameters<TestSlot["bash"]>[1] = {}): Promise<void> {
  await vi.waitFor(async () => expect((await slot.bash(script, changes)).start).toBe("warm"), { timeout: 60_000 });
  await slot.slot.prepareFor(slot.spec(["bash", "-c", script], changes));
}

function children(): string[] {
  return readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
}

async function start(spec: ContainerSpec): Promise<RunResult["start"]> {
  return (await slot.run(spec)).start;
}

describe("a container that waits", () => {
  it("is there for the next run like the last ones, and not for another", async () => {
    await warmUp("true");
    expect(await start(slot.spec(["echo"], { limits: { diskBytes: 8 * MiB } }))).toBe("cold");
    expect(await start(slot.spec(["echo"]))).toBe("warm");
  });

  it("gets the command, environment, files, input, user and limits of its run", async () => {
    await warmUp("true", { stdin: Buffer.from("other"), limits: { memoryBytes: 64 * MiB, openFiles: 32 } });
    const script = 'echo "$WORD"; cat; cat sub/file; id -u; ulimit -n; stat -c %u:%g sub /work; pwd';
    const result = await slot.bash(script, {
      environment: { PATH: "/usr/bin:/bin", WORD: "hello" },
      stdin: Buffer.from("input\n"),
      files: [{ path: "sub/file", content: Buffer.from("file\n"), executable: false }],
      user: { uid: 7, gid: 8 },
      workingDirectory: "/work/deep",
      limits: { openFiles: 48 },
    });
    expect(result.start).toBe("warm");
    expect(text(result.stdout)).toBe("hello\ninput\nfile\n7\n48\n7:8\n1000:1000\n/work/deep\n");
  });

  it.each([
    ["more", 96],
    ["less", 24],
  ])("has the memory of its run, where that is %s than what the last one had", async (_, size) => {
    const diskBytes = 256 * MiB;
    const limits = { memoryBytes: size * MiB, diskBytes, fileBytes: diskBytes };
    const before = { limits: { memoryBytes: 48 * MiB, diskBytes } };
    const fill = (mebibytes: number) => slot.bash(`head -c ${mebibytes}M /dev/zero >/dev/shm/x`, { limits });
    await warmUp("true", before);
    expect(await fill(size - 12)).toMatchObject({ start: "warm", outcome: "exited" });
    await warmUp("true", before);
    expect(await fill(size + 12)).toMatchObject({ start: "warm", outcome: "memory_limit" });
  });

  it("has seen nothing of the runs before it", async () => {
    const leave = "echo secret | tee /tmp/x /dev/shm/x /work/x; touch /x; (sleep 100 &)";
    await warmUp(leave);
    const look = "cat /tmp/x /dev/shm/x /work/x; ls -d /x; ls /proc | grep -c '^[0-9]'; cat /proc/self/net/dev | wc -l";
    const result = await slot.bash(look);
    expect(result.start).toBe("warm");
    // init, the shell, and those of the pipeline; two lines of heading and the loopback.
    expect(text(result.stdout)).toMatch(/^[2-5]\n3\n$/);
    expect(text(result.stderr)).not.toContain("secret");
  });

  it("is used once: the next run has another", async () => {
    const script =
      "cat /proc/sys/kernel/random/uuid >/dev/null; stat -Lc %i /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/mnt";
    await warmUp(script);
    const first = await slot.bash(script);
    await slot.slot.prepareFor(slot.spec(["bash", "-c", script]));
    const second = await slot.bash(script);
    expect([first.start, second.start]).toEqual(["warm", "warm"]);
    expect(first.stdout.content).not.toEqual(second.stdout.content);
  });

  it("does not charge its run for the time and the memory of its preparation", async () => {
    const measure = async () => {
      const { start: kind, usage } = await slot.bash("true");
      return { kind, cpuTimeMs: usage.cpuTimeMs, memoryPeakBytes: usage.memoryPeakBytes };
    };
    await warmUp("true");
    const warm = [await measure()];
    for (let round = 0; round < 5; round++) {
      await slot.slot.prepareFor(slot.spec(["bash", "-c", "true"]));
      warm.push(await measure());
    }
    const cold = [];
    for (let round = 0; round < 6; round++) {
      await slot.slot.dropWaiting();
      cold.push(await measure());
    }
    expect([new Set(warm.map(({ kind }) => kind)), new Set(cold.map(({ kind }) => kind))]).toEqual([
      new Set(["warm"]),
      new Set(["cold"]),
    ]);
    const least = (runs: readonly { cpuTimeMs: number }[]) => Math.min(...runs.map(({ cpuTimeMs }) => cpuTimeMs));
    expect(least(warm)).toBeLessThan(2 * least(cold));
    const peak = (runs: readonly { memoryPeakBytes: number }[]) =>
      Math.min(...runs.map(({ memoryPeakBytes }) => memoryPeakBytes));
    expect(Math.abs(peak(warm) - peak(cold))).toBeLessThan(MiB);
  });

  it("that somebody kills is missed by nobody", async () => {
    await warmUp("true");
    expect(slot.slot.waiting).toBeGreaterThan(0);
    const inits = children();
    for (const pid of inits) process.kill(Number(pid), "SIGKILL");
    // Their slot is who waits for them.
    const states = () => inits.map((pid) => /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
    await expect.poll(states).toEqual(inits.map(() => "Z"));
    expect(await slot.bash("echo fine")).toMatchObject({ start: "cold", outcome: "exited", exitCode: 0 });
  });

  it("is let go of by the slot, and leaves no process behind", async () => {
    await warmUp("true");
    expect(children()).not.toEqual([]);
    await slot.slot.dropWaiting();
    expect([slot.slot.waiting, children()]).toEqual([0, []]);
  });
});

describe("containers that wait", () => {
  // Without a HOME Python asks glibc, and that a name server on a unix socket.
  const environment = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/work" };
  const others = { environment, limits: { diskBytes: 8 * MiB } };
  const quiet = "pass";
  // SO_NETNS_COOKIE: unlike the number of the inode, no network ever has another's.
  const talkative = "from socket import *; print(socket().getsockopt(SOL_SOCKET, 71, 8))";
  const link = "import os; print(os.readlink('/proc/self/ns/net'))";
  const python = (source: string, changes: typeof others | { environment: typeof environment } = { environment }) =>
    slot.spec(["python3", "-c", source], changes);

  let slot: TestSlot;
  beforeEach(async () => {
    slot = await TestSlot.open("python", {}, 1, { containersMax: 4, idleMs: Infinity });
  });
  afterEach(() => slot[Symbol.asyncDispose]());

  /** Has a container wait for each of two kinds of programs. */
  async function prepareBoth(): Promise<void> {
    for (const changes of [others, { environment }]) await slot.slot.prepareFor(python(quiet, changes));
  }

  async function runWarm(spec: ContainerSpec): Promise<string> {
    const result = await slot.run(spec);
    expect(result).toMatchObject({ start: "warm", exitCode: 0 });
    return text(result.stdout);
  }

  it("are in one network", async () => {
    await prepareBoth();
    expect(await runWarm(python(link))).toBe(await runWarm(python(link, others)));
  });

  it("are not used when a program in their network has made a socket", async () => {
    await prepareBoth();
    const cookie = await runWarm(python(talkative));
    const next = await slot.run(python(talkative, others));
    expect(next.exitCode).toBe(0);
    expect(text(next.stdout)).not.toBe(cookie);
  });

  it("are left alone by programs of which the last ones have made sockets", async () => {
    await slot.run(python(talkative));
    await prepareBoth();
    const before = children();
    const cookies = new Set<string>();
    for (let run = 0; run < 3; run++) {
      cookies.add(await runWarm(python(talkative)));
      await slot.slot.prepareFor(python(talkative));
    }
    expect(cookies.size).toBe(3);
    // The other kind's; that of the first kind was used, and so was the init that was ready for any.
    expect(children().filter((pid) => before.includes(pid))).toHaveLength(1);
    await runWarm(python(quiet, others));
  });
});

it("a layer that was exchanged since is not what the next container shows", async () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), "longshore-layer-"));
  const [place, other] = [join(directory.path, "layer"), join(directory.path, "other")];
  for (const [path, content] of [
    [place, "old"],
    [other, "new"],
  ] as const) {
    cpSync(mkdtempDisposableSync(join(directory.path, "empty-")).path, path, { recursive: true });
    writeFileSync(join(path, "content"), content, { mode: 0o644 });
  }
  const spec = slot.spec(["cat", "/content"], { layers: [...slot.layers, { kind: "directory", path: place }] });
  await slot.slot.prepareFor(spec);
  renameSync(place, join(directory.path, "removed"));
  renameSync(other, place);
  const result = await slot.run(spec);
  expect([result.start, text(result.stdout)]).toEqual(["cold", "new"]);
});
