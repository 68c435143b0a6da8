import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Layer, VolumeMount } from "../../../worker/container/spec.ts";
import { type SpecChanges, TestSlot, text } from "../../support/container.ts";

let one: TestSlot;
let other: TestSlot;
let directory: string;
let path: string;
/** An image's layer with a directory of contents, and with symlinks that lead out of it. */
let contents: Layer;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "longshore-volumes-"));
  one = await TestSlot.open();
  other = await TestSlot.open("python", {}, 1);
  const layer = join(directory, "layer");
  mkdirSync(join(layer, "data/deep"), { recursive: true });
  writeFileSync(join(layer, "data/deep/file"), "from the image\n", { mode: 0o640 });
  chownSync(join(layer, "data/deep/file"), 33, 44);
  writeFileSync(join(layer, "data/tool"), "#!/bin/sh\n", { mode: 0o755 });
  chmodSync(join(layer, "data/tool"), 0o4755);
  symlinkSync("/etc/passwd", join(layer, "data/link"));
  chownSync(join(layer, "data"), 1000, 1000);
  symlinkSync("../../../../../../etc", join(layer, "out"));
  contents = { kind: "directory", path: layer };
});
afterAll(async () => {
  await one[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  path = mkdtempSync(join(directory, "volume-"));
  chownSync(path, 1000, 1000);
});

function volume(changes: Partial<VolumeMount> = {}): SpecChanges {
  return { volumes: [{ source: path, at: "/data", mode: "rw", whenEmpty: "copy", ...changes }] };
}

const withContents = (changes: Partial<VolumeMount> = {}): SpecChanges => ({
  ...volume(changes),
  layers: [...one.layers, contents],
});

describe("a volume", () => {
  it("keeps what a container writes, under the ids of the container, for those of every slot", async () => {
    const written = await one.bash("echo kept > /data/file; stat -c '%u %g' /data/file", volume());
    expect(text(written.stdout)).toBe("1000 1000\n");
    expect(statSync(join(path, "file"))).toMatchObject({ uid: 1000, gid: 1000 });
    const read = await other.bash("cat /data/file; stat -c '%u %g' /data/file; rm /data/file", volume());
    expect(text(read.stdout)).toBe("kept\n1000 1000\n");
    expect(readdirSync(path)).toEqual([]);
  });

  it("can be read only, set-user-id bits and devices do nothing on it, and programs can be run from it", async () => {
    writeFileSync(join(path, "program"), "#!/bin/sh\necho ran\n");
    chmodSync(join(path, "program"), 0o4755);
    const script = "/data/program; touch /data/new; grep ' /data ' /proc/self/mountinfo | cut -d ' ' -f 6";
    const { stdout, stderr } = await one.bash(script, volume({ mode: "ro" }));
    expect(text(stdout)).toMatch(/^ran\nro,nosuid,nodev[,\w]*\n$/);
    expect(text(stdout)).not.toContain("noexec");
    expect(text(stderr)).toContain("Read-only file system");
  });

  it.each([
    ["writable", "/mnt/new/place"],
    ["writable", "/work/data"],
    ["readonly", "/work/below/data"],
    ["readonly", "/mnt"],
    ["readonly", "/tmp"],
  ] as const)("can be under a %s root at %s", async (rootfs, at) => {
    writeFileSync(join(path, "file"), "here\n");
    const { stdout } = await one.bash(`cat ${at}/file; touch ${at}/new && ls ${at}`, { rootfs, ...volume({ at }) });
    expect(text(stdout)).toBe("here\nfile\nnew\n");
  });

  it("stays within the container where an image has a symlink at its place", async () => {
    const spec = { layers: [...one.layers, contents], ...volume({ at: "/out/apt", whenEmpty: "leave" }) };
    const { stdout } = await one.bash("touch /data/x /out/apt/new; grep -c ' /etc/apt ' /proc/self/mountinfo", spec);
    expect(text(stdout)).toBe("1\n");
    expect(readdirSync(path)).toEqual(["new"]);
  });

  it.each([
    [
      "a symlink in the host's path",
      () => ({ source: join(directory, "leads") }),
      { purpose: "volumes", errno: "ELOOP" },
    ],
    [
      "nothing at the host's path",
      () => ({ source: join(directory, "none") }),
      { purpose: "volumes", errno: "ENOENT" },
    ],
    ["a file in its place", () => ({ at: "/etc/hostname" }), { purpose: "mount points", errno: "ENOTDIR" }],
    [
      "a file system without owners of its choice",
      () => ({ source: "/proc/tty" }),
      { purpose: "volumes", call: "mount_setattr" },
    ],
  ] as const)("is refused with %s", async (_, changes, failure) => {
    rmSync(join(directory, "leads"), { force: true });
    symlinkSync(path, join(directory, "leads"));
    expect(await one.attempt(one.spec(["true"], volume(changes())))).toMatchObject({ kind: "failed", ...failure });
  });

  it("is no part of the layer that a run keeps", async () => {
    writeFileSync(join(path, "file"), "");
    await one.bash("touch /data/new /work/own", { ...volume(), keepLayerAs: "kept" });
    const layers: Layer[] = [...one.layers, { kind: "kept", name: "kept" }];
    const { stdout } = await one.bash("ls /data /work", { layers });
    expect(text(stdout)).toBe("/data:\n\n/work:\nown\n");
    await one.slot.release("kept");
  });
});

describe("an empty volume over a directory with contents", () => {
  const list = "cd /data && find . -exec stat -c '%n %a %u %g %F' {} + | sort && cat deep/file";

  it("starts with a copy of them, without set-id bits", async () => {
    const root = { user: { uid: 0, gid: 44 } };
    const { stdout } = await one.bash(list, { ...withContents({ mode: "ro" }), ...root });
    expect(text(stdout)).toBe(
      [
        ". 755 1000 1000 directory",
        "./deep 755 0 0 directory",
        "./deep/file 640 33 44 regular file",
        "./link 777 0 0 symbolic link",
        "./tool 755 0 0 regular file",
        "from the image\n",
      ].join("\n"),
    );
    const again = await other.bash(list, { ...withContents(), layers: other.layers, ...root });
    expect(text(again.stdout)).toBe(text(stdout));
  });

  it("is filled once, and nobody sees a part of it, however many containers begin at once", async () => {
    const large = join(directory, "large");
    mkdirSync(join(large, "data"), { recursive: true });
    for (let file = 0; file < 2000; file++) writeFileSync(join(large, "data", String(file)), "x");
    const layers: Layer[] = [...one.layers, { kind: "directory", path: large }];
    const count = { ...volume(), layers };
    const results = await Promise.all([one, other].map((slot) => slot.bash("ls -A /data | wc -l", count)));
    expect(results.map(({ stdout }) => text(stdout))).toEqual(["2000\n", "2000\n"]);
  });

  it("is not filled again when it has contents of its own, or may only be read", async () => {
    writeFileSync(join(path, "own"), "");
    await one.bash("true", withContents());
    expect(readdirSync(path)).toEqual(["own"]);
    rmSync(join(path, "own"));
    await one.bash("true", withContents({ mode: "ro", whenEmpty: "leave" }));
    expect(readdirSync(path)).toEqual([]);
  });

  it("is filled after a worker that died before its copy was anybody's", async () => {
    mkdirSync(join(path, ".longshore-copy"), { mode: 0o700 });
    await one.bash("true", withContents());
    expect(readdirSync(path).toSorted()).toEqual(["deep", "link", "tool"]);
  });

  it.each(["tree", "ready"] as const)("is filled after a worker that died when its copy was in %s", async (stage) => {
    const copy = join(path, ".longshore-copy");
    mkdirSync(join(copy, stage), { recursive: true, mode: 0o700 });
    writeFileSync(join(copy, stage, "partial"), "");
    chownSync(copy, 0xffff_fffe, 0xffff_fffe);
    await one.bash("true", withContents());
    expect(readdirSync(path).toSorted()).toEqual(stage === "tree" ? ["deep", "link", "tool"] : ["partial"]);
  });

  it("leads nowhere else, whatever a program with write access does while it is filled", async () => {
    const victim = mkdtempSync(join(directory, "victim-"));
    writeFileSync(join(victim, "file"), "untouched\n", { mode: 0o600 });
    const attack = `
import os, shutil, time
end = time.monotonic() + 3
def attempt(work):
    try: work()
    except OSError: pass
while time.monotonic() < end:
    for name in os.listdir("/data"):
        path = "/data/" + name
        attempt(lambda: os.rename(path, "/data/moved"))
        attempt(lambda: os.symlink("${victim}", path))
        attempt(lambda: os.symlink("${victim}", path + "/tree"))
        attempt(lambda: os.unlink(path))
        attempt(lambda: shutil.rmtree(path))
    attempt(lambda: os.symlink("${victim}", "/data/.longshore-copy"))
    attempt(lambda: os.unlink("/data/.longshore-copy"))
print("attacked")`;
    const attacking = one.python(attack, { ...volume({ whenEmpty: "leave" }), user: { uid: 0, gid: 0 } });
    const outcomes = new Set<string>();
    const over = new AbortController();
    const attacked = attacking.finally(() => over.abort());
    while (!over.signal.aborted) outcomes.add((await other.attempt(other.spec(["true"], withContents()))).kind);
    expect(text((await attacked).stdout)).toBe("attacked\n");
    // The volume is the program's to spoil: then the other container is not made, and says so.
    expect([...outcomes].filter((kind) => kind !== "ended" && kind !== "failed")).toEqual([]);
    expect(readdirSync(victim)).toEqual(["file"]);
    expect(readFileSync(join(victim, "file"), "utf8")).toBe("untouched\n");
    expect(statSync(victim)).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(victim).mode & 0o777).toBe(0o700);
  });

  it("takes a directory that a program calls like the copy for its contents", async () => {
    mkdirSync(join(path, ".longshore-copy/ready"), { recursive: true });
    symlinkSync("/etc", join(path, ".longshore-copy/ready/etc"));
    chownSync(join(path, ".longshore-copy"), 1000, 1000);
    await one.bash("true", withContents());
    expect(readdirSync(path)).toEqual([".longshore-copy"]);
    expect(readFileSync("/etc/hostname").length).toBeGreaterThan(0);
  });
});
