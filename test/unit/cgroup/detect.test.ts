import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "longshore-detect-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A machine with these mounts, on directories below the root, and this process in these cgroups. */
function detect(mounts: readonly string[], ownCgroups: readonly string[]) {
  const sources = { mountInfo: join(root, "mountinfo"), ownCgroups: join(root, "own-cgroups") };
  writeFileSync(sources.mountInfo, `${mounts.join("\n")}\n`);
  writeFileSync(sources.ownCgroups, `${ownCgroups.join("\n")}\n`);
  return detectCgroups(sources);
}

function v1Mount(controllers: string, options: { root?: string; on?: string } = {}): string {
  const point = join(root, options.on ?? controllers);
  return `33 31 0:30 ${options.root ?? "/"} ${point} rw,relatime shared:9 - cgroup cgroup rw,${controllers}`;
}

function v2Mount(on: string, mountRoot = "/"): string {
  return `41 31 0:38 ${mountRoot} ${join(root, on)} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate`;
}

/** Makes a v2 cgroup that was given these controllers. */
function offer(directory: string, controllers: string): void {
  mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(join(root, directory, "cgroup.controllers"), `${controllers}\n`);
}

const allV1 = ["cpu", "cpuacct", "memory", "pids"];

describe("detection of cgroups", () => {
  test("finds v1 controllers that are mounted one by one, beside an almost empty v2", () => {
    offer("unified", "hugetlb");
    const layout = detect(
      [...allV1.map((name) => v1Mount(name)), v1Mount("name=systemd"), v2Mount("unified")],
      ["4:memory:/service/a", "8:pids:/", "2:cpuacct:/", "1:cpu:/", "9:name=systemd:/", "0::/"],
    );
    expect(layout).toEqual({
      version: 1,
      directories: {
        cpu: join(root, "cpu"),
        cpuacct: join(root, "cpuacct"),
        memory: join(root, "memory/service/a"),
        pids: join(root, "pids"),
      },
    });
  });

  test("finds controllers that are mounted together in one directory", () => {
    const layout = detect(
      [v1Mount("cpu,cpuacct"), v1Mount("memory"), v1Mount("pids")],
      ["3:cpu,cpuacct:/slice", "2:memory:/", "1:pids:/"],
    );
    expect(layout).toMatchObject({
      directories: { cpu: join(root, "cpu,cpuacct/slice"), cpuacct: join(root, "cpu,cpuacct/slice") },
    });
  });

  test("finds the controller of cores where it is mounted apart, and leaves it where it is not", () => {
    const own = [...allV1, "cpuset"].map((name, index) => `${index + 1}:${name}:/unit`);
    const apart = detect(
      [...allV1, "cpuset"].map((name) => v1Mount(name)),
      own,
    );
    expect(apart).toMatchObject({ version: 1, cpuset: join(root, "cpuset/unit") });
    const together = ["cpuset,cpu", "cpuacct", "memory", "pids"];
    const shared = detect(
      together.map((name) => v1Mount(name)),
      own,
    );
    expect(shared).not.toHaveProperty("cpuset");
  });

  test("follows a mount that shows a container only its own part of the tree", () => {
    const layout = detect(
      allV1.map((name) => v1Mount(name, { root: "/docker/abc" })),
      allV1.map((name, index) => `${index + 1}:${name}:/docker/abc${name === "pids" ? "/nested" : ""}`),
    );
    expect(layout).toMatchObject({ directories: { cpu: join(root, "cpu"), pids: join(root, "pids/nested") } });
  });

  test("takes the mount that shows the own cgroup when there are several", () => {
    const elsewhere = v1Mount("pids", { root: "/docker/other", on: "elsewhere" });
    const layout = detect(
      [elsewhere, ...allV1.map((name) => v1Mount(name))],
      allV1.map((name, index) => `${index + 1}:${name}:/docker/abc`),
    );
    expect(layout).toMatchObject({ directories: { pids: join(root, "pids/docker/abc") } });
  });

  test("reads mount points with spaces", () => {
    const layout = detect(
      allV1.map((name) => v1Mount(name, { on: `my\\040${name}` })),
      allV1.map((name, index) => `${index + 1}:${name}:/`),
    );
    expect(layout).toMatchObject({ directories: { cpu: join(root, "my cpu") } });
  });

  test("prefers v2 when the own cgroup is offered what containers need", () => {
    offer("unified/system.slice/longshore.service", "cpuset cpu io memory pids");
    const layout = detect(
      [...allV1.map((name) => v1Mount(name)), v2Mount("unified")],
      [...allV1.map((name, index) => `${index + 1}:${name}:/`), "0::/system.slice/longshore.service"],
    );
    const directory = join(root, "unified/system.slice/longshore.service");
    expect(layout).toEqual({ version: 2, directory, cpuset: "offered" });
  });

  test("finds the root of a cgroup namespace", () => {
    offer("cgroup", "cpu memory pids");
    expect(detect([v2Mount("cgroup")], ["0::/"])).toEqual({ version: 2, directory: join(root, "cgroup") });
  });

  test("takes the cgroup above the leaf into which an earlier worker has moved its parent", () => {
    offer("cgroup/unit", "cpuset cpu memory pids");
    offer("cgroup/unit/longshore-supervisor", "cpu memory pids");
    const layout = detect([v2Mount("cgroup")], ["0::/unit/longshore-supervisor"]);
    // With what that one was given, not the leaf.
    expect(layout).toEqual({ version: 2, directory: join(root, "cgroup/unit"), cpuset: "offered" });
  });

  test("names the controllers that v2 does not offer, and how to get them", () => {
    offer("cgroup/session", "memory pids");
    expect(() => detect([v2Mount("cgroup")], ["0::/session"])).toThrow(
      /not offered in .*\/cgroup\/session: cpu: set Delegate=yes .* systemd-run --scope -p Delegate=yes$/,
    );
  });

  test("names the v1 controllers that are not mounted, and how to get them", () => {
    offer("unified", "");
    const present = ["cpu", "cpuacct", "pids"];
    const own = [...allV1.map((name, index) => `${index + 1}:${name}:/`), "0::/"];
    expect(() => detect([...present.map((name) => v1Mount(name)), v2Mount("unified")], own)).toThrow(
      /^cgroup v1 controllers not mounted: memory: .*cgroup_enable=memory/,
    );
  });

  test("says so when no cgroup file system is mounted, or none shows the own cgroup", () => {
    expect(() => detect([], ["0::/"])).toThrow("no cgroup file system is mounted");
    expect(() => detect([v2Mount("cgroup", "/elsewhere")], ["0::/unit"])).toThrow("no cgroup file system is mounted");
    expect(() => detect([v2Mount("cgroup")], ["0::/../../unit"])).toThrow("no cgroup file system is mounted");
  });
});
