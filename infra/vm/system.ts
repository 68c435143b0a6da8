/** The machine's system: a minimal Debian 12 with Debian's own kernel. Of this project only its first program is in it. */
import { glob, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "./cache.ts";
import { runCommand } from "./command.ts";

const RELEASE = "bookworm";

const PACKAGES = [
  "linux-image-amd64",
  "libseccomp2",
  // What tests run on the machine itself, beside Node, which comes with the project.
  "gcc",
  "libc6-dev",
  "python3-minimal",
  "redis-server",
  "procps",
  "attr",
  // Brings the loopback up.
  "iproute2",
];

/** Drivers of real devices, and what only people read: two thirds of the packages' size. */
const DPKG_OPTIONS = [
  "path-exclude=/lib/modules/*/kernel/drivers/*",
  "path-include=/lib/modules/*/kernel/drivers/virtio/*",
  "path-include=/lib/modules/*/kernel/drivers/block/virtio_blk.ko",
  // For disks of tests' own.
  "path-include=/lib/modules/*/kernel/drivers/block/loop.ko",
  "path-exclude=/lib/modules/*/kernel/sound/*",
  "path-exclude=/usr/share/doc/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/man/*",
  // A tree that a crash leaves behind is thrown away.
  "force-unsafe-io",
];

/** The few modules between the kernel and its root file system (initramfs.conf(5)). */
const INITRAMFS_HOOK = String.raw`
  mkdir --parents "$1/etc/initramfs-tools/conf.d"
  printf 'MODULES=list\nCOMPRESS=gzip\n' >"$1/etc/initramfs-tools/conf.d/machine"
  printf 'virtio_pci\nvirtio_blk\next4\n' >"$1/etc/initramfs-tools/modules"`;

const INIT = join(import.meta.dirname, "init.sh");
const DISK_SIZE = "4G";

/** The directory's files: `vmlinuz`, `initrd.img`, and the disk `root.ext4`, which is sparse. */
export async function systemArtifact(): Promise<Artifact> {
  const init = await readFile(INIT, "utf8");
  return {
    name: "system",
    recipe: [RELEASE, PACKAGES, DPKG_OPTIONS, INITRAMFS_HOOK, DISK_SIZE, init],
    build: buildSystem,
  };
}

async function buildSystem(directory: string): Promise<void> {
  const tree = join(directory, "tree");
  await mkdir(directory);
  await runCommand("mmdebstrap", [
    ...["--variant=minbase", "--mode=root", "--format=directory", `--include=${PACKAGES.join(",")}`],
    ...['--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"'],
    ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
    `--essential-hook=${INITRAMFS_HOOK}`,
    `--customize-hook=install -m 0755 "${INIT}" "$1/sbin/longshore-init"`,
    // The host's own mirror where it runs Debian, else mmdebstrap's default.
    ...[RELEASE, tree, ...(await Array.fromAsync(glob("/etc/apt/sources.list.d/debian.sources")))],
  ]);
  await makeDisk(join(directory, "root.ext4"), tree, DISK_SIZE);
  for (const name of ["vmlinuz", "initrd.img"]) {
    const [file] = await Array.fromAsync(glob(join(tree, "boot", `${name}-*`)));
    if (file === undefined) throw new Error(`the kernel's package brought no ${name}`);
    await rename(file, join(directory, name));
  }
  await rm(tree, { recursive: true });
}

/** Makes a sparse file with an ext4 file system that holds a copy of `tree`, owners and attributes included. */
export function makeDisk(path: string, tree: string, size: string): Promise<void> {
  return runCommand("mke2fs", ["-q", "-t", "ext4", "-d", tree, path, size]);
}
