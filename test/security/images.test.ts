/** Images that lay traps where a container's own mounts, files and directories have to be. */
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestSlot, text } from "../support/container.ts";
import { listTree } from "../support/file-tree.ts";
import { mountsOf } from "../support/mounts.ts";
import type { TarFields } from "../support/tar.ts";
import { fileOfImage, shipLayer } from "./shipped-layer.ts";

const resources = new AsyncDisposableStack();
let slot: TestSlot;
let directory: string;
/** Of the machine: what a symlink of an image leads to, if it leads anywhere. */
let outside: string;
beforeAll(async () => {
  slot = resources.use(await TestSlot.open());
  const temporary = await mkdtempDisposable(join(tmpdir(), "longshore-traps-"));
  resources.defer(() => temporary.remove());
  directory = temporary.path;
  await chmod(directory, 0o755);
  outside = join(directory, "outside");
  await mkdir(outside);
  for (const name of ["hosts", "null", "shm", "secret"]) await writeFile(join(outside, name), "of the machine");
});
afterAll(() => resources.disposeAsync());

/** What an image could have at a path in place of what should be there. */
const TRAPS: Readonly<Record<string, (outside: string) => TarFields>> = {
  "a symlink to a directory of the machine": (outside) => ({ type: "2", linkName: outside }),
  "a symlink that leads up": () => ({ type: "2", linkName: "../../../../../.." }),
  "a symlink to /proc/self/root": () => ({ type: "2", linkName: "/proc/self/root" }),
  "a symlink to itself": () => ({ type: "2", linkName: "trap" }),
  "a symlink to nothing": () => ({ type: "2", linkName: "/no/such/directory" }),
  "a FIFO": () => ({ type: "6", mode: 0o666 }),
  "a file": () => ({ content: "trap" }),
  "a device": () => ({ type: "3", device: [1, 1], mode: 0o666 }),
};

const PLACES = [
  ...["proc", "dev", "dev/null", "dev/console", "dev/shm", "dev/fd", "sys", "tmp", "work", "work/main.py"],
  ...["etc", "etc/hosts", "etc/hostname", "etc/resolv.conf", "srv", "run"],
];

/** What is as it should be in a container, whatever its image has. */
const LOOK = `
import os, stat
assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and os.stat("/dev/null").st_rdev == os.makedev(1, 3), "/dev/null"
open("/dev/null", "w").write("x")
assert os.readlink("/proc/self/exe").startswith("/usr/"), "/proc"
assert not os.path.exists("/sys/kernel"), "/sys"
assert not os.path.exists("/dev/console"), "/dev/console"
for place in ("/tmp", "/dev/shm"): open(place + "/mine", "w").close()
assert "localhost" in open("/etc/hosts").read(), "/etc/hosts"
assert open("/etc/hostname").read() == "longshore\\n", "/etc/hostname"
for name in ("secret", "hosts"):
    for place in ("/srv", "/run", "/sys", "/work", "/tmp", os.getcwd()):
        try: content = open(f"{place}/{name}").read()
        except OSError: continue
        assert "of the machine" not in content, place
print("as it should be")`;

/** But for the layers, which a slot keeps in a directory of its own where an overlay takes paths of them only. */
const mounts = () => mountsOf(process.pid, slot.directory).filter((line) => !line.includes("/staging/layers/"));

describe.each(Object.entries(TRAPS))("%s in an image", (name, trap) => {
  test.each(PLACES)("at /%s leads nowhere, and nothing of the machine is touched", async (place) => {
    const layer = join(directory, `${name}-${place}`.replaceAll(/\W/g, "-"));
    await shipLayer(layer, [{ ...trap(outside), name: place }]);
    const before = { mounts: mounts(), outside: listTree(outside) };
    const layers = [...slot.layers, { kind: "directory", path: layer } as const];
    for (const rootfs of ["writable", "readonly"] as const) {
      for (const workingDirectory of ["/work", "/srv/a/b"]) {
        const result = await slot.attempt(
          slot.spec(["python3", "-c", LOOK], {
            layers,
            rootfs,
            workingDirectory,
            files: rootfs === "writable" || workingDirectory === "/work" ? [file] : [],
            outputs: ["**"],
          }),
        );
        // A place that cannot be used is the image's fault, and said to be one; a container that runs is like any other.
        if (result.kind === "failed") {
          const refusals = ["ENOTDIR", "ELOOP", "ENOENT", "ENXIO", "EACCES", "EEXIST", "EISDIR"];
          // The kernel may go on refusing to say for sure that a way with `..` stays inside: see worker/linux/open.ts.
          if (name === "a symlink that leads up") refusals.push("EAGAIN");
          expect(refusals).toContain(result.errno);
          continue;
        }
        if (result.kind !== "ended") throw new Error(`the container is ${result.kind}`);
        const cannotEnter = result.exitCode === 127 || result.exitCode === 126;
        const seen = cannotEnter ? "as it should be\n" : text(result.stdout) + text(result.stderr);
        expect([rootfs, workingDirectory, seen]).toEqual([rootfs, workingDirectory, "as it should be\n"]);
        expect(JSON.stringify(result.outputs)).not.toContain("secret");
      }
    }
    expect({ mounts: mounts(), outside: listTree(outside) }).toEqual(before);
  });
});

const file = { path: "main.py", content: Buffer.from("print(1)"), executable: false };

describe("an image's programs", () => {
  test("gain nothing by set-user-id bits and file capabilities, nor its devices", async () => {
    const content = readFileSync(await fileOfImage("python", "usr/bin/cat"));
    const capability = Buffer.from(Uint32Array.of(0x02000001, 0xffffffff, 0, 0x1ff, 0).buffer);
    const layer = join(directory, "rights");
    await shipLayer(layer, [
      { name: "x/secret", content: "root's", mode: 0o600 },
      { name: "x/readable", content: "read", mode: 0o644 },
      { name: "x/set-user-id", content, mode: 0o6755 },
      { name: "x/capable", content, mode: 0o755, pax: { "SCHILY.xattr.security.capability": capability } },
      { name: "x/null", type: "3", device: [1, 3], mode: 0o666 },
      { name: "x/mem", type: "3", device: [1, 1], mode: 0o666 },
      { name: "x/disk", type: "4", device: [8, 0], mode: 0o666 },
    ]);
    const layers = [...slot.layers, { kind: "directory", path: layer } as const];
    const script = `cd /x
for program in ./set-user-id ./capable; do $program readable; $program secret; done 2>&1
for device in null mem disk; do cat $device; echo > $device; done 2>&1
ln -s /x/disk /tmp/disk; cat /tmp/disk 2>&1; cp -a /x/null /tmp/null 2>&1; cat /tmp/null 2>&1; true`;
    const { stdout } = await slot.bash(script, { layers });
    const lines = text(stdout).trimEnd().split("\n");
    // Both programs run, and read what everybody may.
    expect(lines.filter((line) => line.startsWith("read"))).toHaveLength(2);
    expect(lines.filter((line) => line.includes("root's"))).toEqual([]);
    expect(lines.filter((line) => line.includes("Permission denied")).length).toBeGreaterThanOrEqual(9);
    const asRoot = await slot.bash("cat /x/null /x/mem /x/disk; echo > /x/null", { layers, user: { uid: 0, gid: 0 } });
    expect(text(asRoot.stderr).match(/Permission denied/g)).toHaveLength(4);
  });
});
