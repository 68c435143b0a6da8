import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { parseMountInfo } from "../../../worker/cgroup/mounts.ts";

const main = join(import.meta.dirname, "../../bench/main.ts");

// The benches' own temporary directory, apart from everybody else's. Root of a user namespace has to pass through it.
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-bench-test-"));
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true }));

/** Runs a bench to its end; returns what it printed, its process id, and what it left in its temporary directory. */
async function bench(...words: readonly string[]) {
  const running = promisify(execFile)(process.execPath, [main, ...words], {
    env: { ...process.env, TMPDIR: directory },
  });
  const { stdout } = await running;
  return { stdout, pid: running.child.pid, left: await readdir(directory) };
}

test("candidates are measured in the same rounds, and every sample is told", async () => {
  const file = join(directory, "report.json");
  const only = ["bare", "container-readonly", "slot-writable", "http", "crun", "bubblewrap", "runc"];
  const { stdout } = await bench("--rounds", "2", "--warm-up", "1", "--only", only.join(","), "--json", file);
  const { candidates, unavailable } = JSON.parse(await readFile(file, "utf8"));
  await rm(file);
  expect(unavailable).toEqual([]);
  expect(candidates).toEqual(
    only.map((name) => expect.objectContaining({ name, samples: [expect.any(Number), expect.any(Number)] })),
  );
  expect(stdout).toContain("container-readonly − bare");
});

test("a container's time is taken apart down to its seccomp filter", async () => {
  const { stdout } = await bench("steps", "--rounds", "2", "--warm-up", "1", "--only", "readonly");
  expect(stdout).toMatch(/\| sandbox +\|/);
  expect(stdout).toMatch(/\| init: seccomp +\|/);
});

test("images of many layers are measured beside those of few, and a second pull transfers no blob", async () => {
  const file = join(directory, "images.json");
  const only = "layers-1,layers-60,layers-60-unseen,pull";
  const { stdout } = await bench("images", "--rounds", "2", "--warm-up", "1", "--only", only, "--json", file);
  const { pulls } = JSON.parse(await readFile(file, "utf8"));
  await rm(file);
  expect(pulls.first.blobBytes).toBeGreaterThan(20_000_000);
  expect(pulls.second).toMatchObject({ requests: 1, blobBytes: 0 });
  expect(stdout).toContain("layers-60 − layers-1");
  expect(stdout).toMatch(/\| layers-60-unseen +\| +2 \|/);
});

test("a program is judged alone and beside busy slots, and with its files in memory and not", async () => {
  const file = join(directory, "fidelity.json");
  const only = "core-alone-auto,core-beside-auto,peak";
  const { stdout } = await bench("fidelity", "--rounds", "2", "--warm-up", "1", "--only", only, "--json", file);
  const { candidates, peaks } = JSON.parse(await readFile(file, "utf8"));
  await rm(file);
  expect(candidates).toEqual(
    ["core-alone-auto", "core-beside-auto"].map((name) => ({
      name,
      samples: [expect.any(Number), expect.any(Number)],
    })),
  );
  const [before, after] = peaks.cachedBytes;
  expect(before).toBeLessThan(after);
  expect(stdout).toMatch(/\| core-beside-auto +\| +2 \|/);
});

test("memory is told of idle processes and of containers that wait", async () => {
  const file = join(directory, "memory.json");
  const only = "idle,waiting-writable";
  const { stdout } = await bench("memory", "--rounds", "2", "--warm-up", "1", "--only", only, "--json", file);
  const { processes, containers } = JSON.parse(await readFile(file, "utf8"));
  await rm(file);
  expect(processes).toEqual({
    Redis: expect.any(Number),
    API: expect.any(Number),
    "worker, containers included": expect.any(Number),
  });
  expect(containers["waiting-writable"]).toHaveLength(2);
  expect(stdout).toContain("a container that waits, writable");
});

test("nothing is left of a bench", async () => {
  const { pid, left } = await bench("--rounds", "1", "--warm-up", "1", "--only", "container-writable,crun,runc");
  expect(left).toEqual([]);
  expect(cgroupsOf(pid)).toEqual([]);
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  const names = [`longshore-bench-${pid}-crun`, `longshore-bench-${pid}-runc`];
  const paths = mounts.flatMap(({ mountPoint }) => names.map((name) => join(mountPoint, name)));
  expect(paths.filter((path) => existsSync(path))).toEqual([]);
});

test("the cgroups of a bench that was killed go when the next one starts", async () => {
  const killed = spawn(process.execPath, [main, "--rounds", "100000", "--only", "container-writable"], {
    env: { ...process.env, TMPDIR: directory },
    stdio: "ignore",
  });
  const exited = once(killed, "exit");
  await expect.poll(() => cgroupsOf(killed.pid)).not.toEqual([]);
  killed.kill("SIGKILL");
  await exited;
  expect(cgroupsOf(killed.pid)).not.toEqual([]);
  await bench("--rounds", "1", "--warm-up", "1", "--only", "container-writable");
  expect(cgroupsOf(killed.pid)).toEqual([]);
});

/** The cgroups of a bench, in all hierarchies. */
function cgroupsOf(pid: number | undefined): string[] {
  const layout = detectCgroups();
  const own = layout.version === 1 ? Object.values(layout.directories) : [layout.directory];
  return own.map((directory) => join(directory, `longshore/bench-${pid}`)).filter((path) => existsSync(path));
}
