import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ownGroup, readHierarchies } from "../../../worker/doctor/cgroups.ts";

describe("the cgroup trees of a machine", () => {
  it("are read from mountinfo, hybrid machines included", async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), "longshore-cgroup-"));
    const unified = join(root.path, "unified");
    await mkdir(unified);
    await writeFile(join(unified, "cgroup.controllers"), "cpu memory pids\n");
    const mountinfo = [
      "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
      "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct",
      `30 24 0:26 / ${unified} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate`,
      "",
    ].join("\n");
    expect(readHierarchies(mountinfo)).toEqual([
      { version: 1, mountPoint: "/sys/fs/cgroup/cpu,cpuacct", controllers: ["rw", "cpu", "cpuacct"] },
      { version: 2, mountPoint: unified, controllers: ["cpu", "memory", "pids"] },
    ]);
  });

  it("hold our own group, or show it as their root inside of a container", async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), "longshore-cgroup-"));
    await mkdir(join(root.path, "user.slice/shell"), { recursive: true });
    const unified = { version: 2, mountPoint: root.path, controllers: ["cpu"] } as const;
    expect(ownGroup(unified, "0::/user.slice/shell\n")).toBe(join(root.path, "user.slice/shell"));
    expect(ownGroup(unified, "0::/\n")).toBe(root.path);
    expect(ownGroup(unified, "0::/docker/0123456789ab\n")).toBe(root.path);
    const memory = { version: 1, mountPoint: root.path, controllers: ["rw", "memory"] } as const;
    expect(ownGroup(memory, "4:memory:/user.slice/shell\n0::/\n")).toBe(join(root.path, "user.slice/shell"));
    expect(ownGroup(memory, "0::/\n")).toBeUndefined();
  });
});
