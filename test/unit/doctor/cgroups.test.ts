import { mkdir, mkdtempDisposable, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkCgroups } from "../../../worker/doctor/cgroups.ts";

describe("the doctor's look at cgroups", () => {
  it("passes on why there is no layout to use", () => {
    const findings = checkCgroups(() => {
      throw new Error("no cgroup file system is mounted: mount cgroup2 on /sys/fs/cgroup");
    });
    expect(findings).toMatchObject([{ status: "missing", detail: expect.stringContaining("mount cgroup2") }]);
  });

  it("tries every v1 tree, and names the one that takes no group", async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), "longshore-cgroup-"));
    const directory = async (name: string) => {
      await mkdir(join(root.path, name));
      return join(root.path, name);
    };
    const directories = {
      cpu: await directory("cpu"),
      cpuacct: await directory("cpuacct"),
      memory: await directory("memory"),
      pids: join(root.path, "absent"),
    };
    const findings = checkCgroups(() => ({ version: 1, directories }));
    expect(findings.map(({ name, status }) => `${name}: ${status}`)).toEqual([
      "cgroup: degraded",
      "cgroup cpu: ok",
      "cgroup cpuacct: ok",
      "cgroup memory: ok",
      "cgroup pids: missing",
    ]);
    expect(await readdir(directories.cpu)).toEqual([]);
  });

  it("misses on v2 what the kernel is too old for", async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), "longshore-cgroup-"));
    const [, finding] = checkCgroups(() => ({ version: 2, directory: root.path }));
    expect(finding).toMatchObject({
      status: "missing",
      detail: "no cgroup.kill",
      wayOut: "install linux 5.14 or later",
    });
  });

  it("says what results lack where processes are not counted, in either version", async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), "longshore-cgroup-"));
    const { path } = root;
    const layouts = [
      { version: 1, directories: { cpu: path, cpuacct: path, memory: path, pids: path } },
      { version: 2, directory: path },
    ] as const;
    for (const file of ["cgroup.kill", "pids.max"]) await writeFile(join(path, file), "");
    const statuses = () => layouts.map((layout) => checkCgroups(() => layout).at(-1));
    expect(statuses()).toMatchObject(
      layouts.map(() => ({
        status: "degraded",
        detail: "no pids.peak",
        effect: expect.stringContaining("processesPeak is null"),
        wayOut: "install linux 6.1 or later",
      })),
    );
    await writeFile(join(path, "pids.peak"), "");
    expect(statuses().map((finding) => finding?.status)).toEqual(["ok", "ok"]);
    // A group that has the controller memory, and not the peak, is of a kernel that lacks it.
    await writeFile(join(path, "memory.max"), "");
    expect(statuses().map((finding) => finding?.status)).toEqual(["ok", "missing"]);
  });
});
