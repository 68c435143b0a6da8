/** That nothing a container does reaches the layers on disk that all containers share. */
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestSlot, text } from "../../support/container.ts";
import { listTree } from "../../support/file-tree.ts";

/** Files of the one who attacks, of root, and some that anybody may write to. */
const FILES = String.raw`
  for owner in 0 1000; do
    mkdir -p $owner/dir/deep; echo content >$owner/file; echo deep >$owner/dir/deep/file; ln $owner/file $owner/link
    ln -s file $owner/symlink; mkfifo $owner/pipe; cp /bin/true $owner/program; chmod 4755 $owner/program
    setfattr -n user.note -v kept $owner/file; head -c 100000 /dev/zero >$owner/large
    chown -Rh $owner:$owner $owner
  done
  mkdir open; echo content >open/file; chmod 666 open/file; chmod 1777 open`;

/** Everything that a program can do to files; what fails is no reason to stop. */
const ATTACK = String.raw`
import os, mmap, shutil, stat, fcntl
def attempt(what, *words, **named):
    try: what(*words, **named)
    except (OSError, ValueError): pass
def write(path, flags):
    descriptor = os.open(path, flags)
    os.write(descriptor, b"changed"); os.fsync(descriptor); os.close(descriptor)
def through_memory(path):
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as memory: memory[0:3] = b"map"; memory.flush()
    os.close(descriptor)
def through_a_reader(path):
    reader = os.open(path, os.O_RDONLY)
    attempt(write, f"/proc/self/fd/{reader}", os.O_WRONLY | os.O_TRUNC)
    attempt(os.ftruncate, reader, 1); attempt(os.fchmod, reader, 0o777); attempt(os.fchown, reader, 7, 7)
    attempt(os.setxattr, reader, "user.note", b"changed"); attempt(os.utime, reader, (1, 1))
    attempt(fcntl.ioctl, reader, 0x40086602, b"\x10" + bytes(7))  # FS_IOC_SETFLAGS: immutable
    attempt(os.posix_fallocate, reader, 0, 10); os.close(reader)
paths = [os.path.join(top, name) for top, directories, files in os.walk("/layer") for name in directories + files]
files = [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
for path in files:
    for work in (through_a_reader, through_memory): attempt(work, path)
for path in paths:
    attempt(os.chmod, path, 0o7777); attempt(os.chown, path, 1000, 1000, follow_symlinks=False)
    attempt(os.setxattr, path, "user.note", b"changed"); attempt(os.removexattr, path, "user.note")
    attempt(os.utime, path, (1, 1), follow_symlinks=False); attempt(os.link, path, path + ".link")
for path in files:
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC): attempt(write, path, flags)
    attempt(os.truncate, path, 3)
for path in paths[::2]: attempt(os.rename, path, path + ".renamed")
for path in ("/layer/open", "/layer"): attempt(os.mkdir, path + "/new")
shutil.rmtree("/layer", ignore_errors=True)
print("left:", sum(len(files) for _, _, files in os.walk("/layer")) > 0)
`;

const directory = mkdtempSync(join(tmpdir(), "longshore-untouched-"));
const layer = join(directory, "layer");
execFileSync("bash", ["-euc", `mkdir -p ${layer}/layer; cd ${layer}/layer; ${FILES}`]);
afterAll(() => rmSync(directory, { recursive: true }));

/** All that a layer keeps, and when each inode was last changed in any way. */
function fingerprint(): string[] {
  return listTree(layer).map((line) => {
    const path = line.split(" ")[0] ?? "";
    return `${line} ${lstatSync(join(layer, path), { bigint: true }).ctimeNs}`;
  });
}

describe("a layer on disk", () => {
  let slot: TestSlot;
  beforeAll(async () => {
    slot = await TestSlot.open();
  });
  afterAll(() => slot[Symbol.asyncDispose]());

  it.each([
    { who: "its files' owner", id: 1000, rootfs: "writable" },
    { who: "its files' owner", id: 1000, rootfs: "readonly" },
    // Without capabilities root is an owner like any other.
    { who: "root", id: 0, rootfs: "writable" },
    { who: "root", id: 0, rootfs: "readonly" },
  ] as const)("is untouched by what $who does under a $rootfs root", async ({ id, rootfs }) => {
    const before = fingerprint();
    expect(before.length).toBeGreaterThan(20);
    const layers = [...slot.layers, { kind: "directory", path: layer } as const];
    const result = await slot.python(ATTACK, { layers, rootfs, user: { uid: id, gid: id } });
    expect([text(result.stdout), text(result.stderr)]).toEqual(["left: True\n", ""]);
    expect(fingerprint()).toEqual(before);
  });

  it("is untouched by a step of an image build, which can take all of it away for itself", async () => {
    const before = fingerprint();
    const build = { scratchDirectory: mkdtempSync(join(directory, "step-")) };
    const layers = [...slot.layers, { kind: "directory", path: layer } as const];
    const result = await slot.python(ATTACK, { layers, user: { uid: 0, gid: 0 }, build });
    expect([text(result.stdout), text(result.stderr)]).toEqual(["left: False\n", ""]);
    expect(fingerprint()).toEqual(before);
  });
});
