import { spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { MiB, TestSlot, text } from "../../support/container.ts";
import { mountsOf } from "../../support/mounts.ts";

/** How long something may take that will come, on a busy machine. */
const PATIENCE_MS = 20_000;

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open();
});
afterAll(() => slot[Symbol.asyncDispose]());

/** Where the test's own cgroups are, one for each hierarchy. */
function cgroupRoots(): string[] {
  const layout = detectCgroups();
  return layout.version === 1 ? Object.values(layout.directories) : [layout.directory];
}

/** What a container could leave behind on the machine, once the slot has tidied up. */
async function leftovers() {
  await slot.slot.dropWaiting();
  const containers = cgroupRoots().flatMap((root) => {
    const own = `${root}/longshore/${slot.worker}`;
    return readdirSync(own, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  });
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  return {
    cgroups: containers.map(({ parentPath, name }) => `${parentPath}/${name}`),
    mounts: mountsOf(process.pid, slot.directory),
    descriptors: readdirSync("/proc/self/fd").length,
    children,
  };
}

/** The first process of the container whose command runs, as the machine counts; one that is prepared has no command yet. */
function initOf(worker: string): number {
  for (const file of cgroupRoots().flatMap((root) => globSync(`${root}/longshore/${worker}/*/cgroup.procs`))) {
    const processes = new Map(
      readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((pid) => [/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1], Number(pid)]),
    );
    const init = processes.get("1");
    if (init !== undefined && processes.has("2")) return init;
  }
  throw new Error("no container runs");
}

describe("a container", () => {
  it("leaves no process, cgroup, mount or descriptor behind, however it ends", async () => {
    await slot.bash("true");
    const before = await leftovers();
    expect(before.cgroups).toEqual([]);
    const scripts = ["exit 3", "kill -SEGV $$", "yes", "setsid sleep 100 & sleep 100", ":(){ :|:& };:; sleep 100"];
    for (const script of scripts) await slot.bash(script, { limits: { wallTimeMs: 300, outputBytes: 1000 } });
    await slot.attempt(slot.spec(["no such command"]));
    await slot.attempt(slot.spec(["true"]), AbortSignal.abort());
    expect(await leftovers()).toEqual(before);
  });

  it("reports how its command ended itself", async () => {
    expect(await slot.bash("exit 42")).toMatchObject({ outcome: "exited", exitCode: 42, signal: null });
    expect(await slot.bash("kill -TERM $$")).toMatchObject({ outcome: "signaled", exitCode: null, signal: "SIGTERM" });
    expect(await slot.python("import os; os.abort()")).toMatchObject({ outcome: "signaled", signal: "SIGABRT" });
  });

  it("has no result when its first process is killed from outside", async () => {
    const ending = slot.attempt(slot.spec(["sleep", "100"]));
    const init = await vi.waitFor(() => initOf(slot.worker), PATIENCE_MS);
    process.kill(init, "SIGKILL");
    expect(await ending).toEqual({ kind: "interrupted", reason: "init killed" });
    expect(await slot.bash("echo next")).toMatchObject({ outcome: "exited" });
  });

  it("has no result when it is killed for memory that others have used up", async () => {
    const layout = detectCgroups();
    const [root, file] =
      layout.version === 1 ? [layout.directories.memory, "memory.limit_in_bytes"] : [layout.directory, "memory.max"];
    const limit = join(root, "longshore", slot.worker, file);
    const before = readFileSync(limit, "utf8");
    writeFileSync(limit, String(24 * MiB));
    try {
      const spec = slot.spec(["bash", "-c", "head -c 100000000 /dev/zero | tail -n 1"]);
      expect(await slot.attempt(spec)).toEqual({ kind: "interrupted", reason: "no memory" });
    } finally {
      writeFileSync(limit, before);
    }
    expect(await slot.bash("echo next")).toMatchObject({ outcome: "exited" });
  });

  it("reports a command that is not there, and one that cannot be executed, as a shell would", async () => {
    const missing = await slot.run(slot.spec(["nosuchthing"]));
    expect(missing).toMatchObject({ outcome: "exited", exitCode: 127 });
    expect(text(missing.stderr)).toBe('longshore: cannot execute "nosuchthing": ENOENT\n');
    expect(await slot.run(slot.spec(["/etc/passwd"]))).toMatchObject({ outcome: "exited", exitCode: 126 });
  });

  it("is ended by a cancellation, and the next one is not", async () => {
    const cancel = new AbortController();
    const running = slot.attempt(slot.spec(["bash", "-c", "sleep 100"]), cancel.signal);
    cancel.abort();
    expect(await running).toEqual({ kind: "canceled" });
    expect(await slot.bash("echo fine")).toMatchObject({ outcome: "exited", exitCode: 0 });
  });

  it("takes no notice of a cancellation that comes too late", async () => {
    const cancel = new AbortController();
    await slot.attempt(slot.spec(["true"]), cancel.signal);
    cancel.abort();
    expect(await slot.bash("sleep 0.1; echo fine")).toMatchObject({ outcome: "exited", exitCode: 0 });
  });

  it("reaps orphans: no zombie stays in it", async () => {
    const script = "for i in 1 2 3 4 5; do (sleep 0 &); done; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ' Z ' || true";
    expect(text((await slot.bash(script)).stdout)).toBe("0\n");
  });

  it("has an init of its own as process 1, and the command as process 2", async () => {
    const result = await slot.bash("echo $$; cat /proc/1/cmdline; echo; cat /proc/1/comm; ls /proc | grep -c '^[0-9]'");
    expect(text(result.stdout)).toMatch(/^2\ninit\0\ninit\n[2-5]\n$/);
  });

  it("charges the program for its own CPU time, not for the container's set-up", async () => {
    const times = [];
    for (let round = 0; round < 10; round++) times.push((await slot.run(slot.spec(["true"]))).usage.cpuTimeMs);
    // Starting a dynamic program takes about 1 ms, or tens where QEMU emulates it; preparing a container, as much again.
    const script = "TIMEFORMAT='%3U %3S'; for round in {1..10}; do time /bin/true; done";
    const { stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    const bare = Array.from(
      stderr.matchAll(/(\S+) (\S+)/g),
      ([, user, system]) => 1000 * (Number(user) + Number(system)),
    );
    expect(bare).toHaveLength(10);
    // Where the kernel counts whole ticks only, the mean of many says more than the least.
    const mean = bare.reduce((sum, time) => sum + time, 0) / bare.length;
    expect(Math.min(...times)).toBeLessThan(3 * Math.max(1, mean));
    expect(Math.min(...times)).toBeGreaterThan(0);
  });

  it("adds user and system time up to CPU time", async () => {
    const { usage } = await slot.python("for i in range(10**6): pass");
    expect(usage.userTimeMs + usage.systemTimeMs).toBeCloseTo(usage.cpuTimeMs, 2);
    expect(usage.cpuTimeMs).toBeLessThanOrEqual(usage.wallTimeMs + 10);
  });
});

describe("a slot that could not take a container away", () => {
  it("gets a new thread, and goes on when what was in the way is gone", async () => {
    await using broken = await TestSlot.open();
    const fine = { outcome: "exited", exitCode: 0 };
    const directory = `${cgroupRoots()[0]}/longshore/${broken.worker}/0-1`;
    const running = broken.bash("sleep 0.5");
    await expect.poll(() => existsSync(directory)).toBe(true);
    // A process in a cgroup below the container's: neither can be removed while it lives, and the sweep ends it.
    mkdirSync(`${directory}/in-the-way`);
    expect(await running).toMatchObject(fine);
    // The new thread counts its containers from 1 as well: there is one of this name again, until the slot has tidied up.
    expect(await broken.bash("echo again")).toMatchObject(fine);
    await broken.slot.dropWaiting();
    expect(existsSync(directory)).toBe(false);
  });
});

describe("a worker that ends in a hurry", () => {
  it("takes its cgroups along", () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), "longshore-exit-"));
    const worker = `test-exit-${process.pid}`;
    const options = JSON.stringify({ dataDirectory, idBase: 3_100_000_000, worker });
    const runtime = new URL("../../../worker/container/runtime.ts", import.meta.url).href;
    const program = `
      const { ContainerRuntime } = await import("${runtime}");
      const slot = await new ContainerRuntime(${options}).openSlot(0);
      process.exit(7);`;
    const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { stdio: "inherit" });
    rmSync(dataDirectory, { recursive: true });
    expect(status).toBe(7);
    expect(cgroupRoots().filter((root) => existsSync(`${root}/longshore/${worker}`))).toEqual([]);
  });
});
