import { chown, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findMaskedPaths } from "../../../worker/container/host-facts.ts";
import { defaultSeccompProfile } from "../../../worker/container/seccomp/profile.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";
import { IDS_PER_SLOT } from "../../../shared/ids.ts";
import type { Workbench } from "../workbench.ts";

/** Where runtimes mount something; all of it has to be there, the root being read-only. */
const MOUNT_POINTS = ["proc", "dev", "tmp", "work"];

/** What is left out of a kernel's /proc for reading only, as runc's own `spec` command has it. */
const READONLY_PROC = ["bus", "fs", "irq", "sys", "sysrq-trigger"].map((name) => `/proc/${name}`);

const PERIOD_US = 100_000;

/** Makes a root directory with the program, owned by the ids of a range; returns its path. */
export async function makeRoot(bench: Workbench, name: string, ownerId: number): Promise<string> {
  const root = join(bench.directory, name, "rootfs");
  for (const directory of MOUNT_POINTS) await mkdir(join(root, directory), { recursive: true, mode: 0o755 });
  await copyFile(bench.program, join(root, bench.command));
  for (const entry of ["", ...(await readdir(root))]) await chown(join(root, entry), ownerId, ownerId);
  return root;
}

/**
 * Writes an OCI bundle that asks for what a Longshore container with a read-only root is: the same namespaces, ids,
 * limits, file systems, seccomp profile. Returns its directory.
 * @param cgroupsPath absolute, below a cgroup of our own
 */
export async function writeBundle(
  bench: Workbench,
  name: string,
  idBase: number,
  cgroupsPath: string,
): Promise<string> {
  const root = await makeRoot(bench, name, idBase);
  const spec = bench.spec("readonly");
  const mapping = [{ containerID: 0, hostID: idBase, size: IDS_PER_SLOT }];
  const { maskedFiles, maskedDirectories } = findMaskedPaths();
  const configuration = {
    ociVersion: "1.0.2",
    process: processOf(spec),
    root: { path: root, readonly: true },
    hostname: "longshore",
    mounts: mountsOf(spec),
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
      cgroupsPath,
      resources: resourcesOf(spec.limits),
      seccomp: defaultSeccompProfile,
      maskedPaths: [...maskedFiles, ...maskedDirectories].map((path) => `/proc/${path}`),
      readonlyPaths: READONLY_PROC,
    },
  };
  const bundle = join(bench.directory, name);
  await writeFile(join(bundle, "config.json"), JSON.stringify(configuration));
  return bundle;
}

function processOf({ user, command, workingDirectory, limits }: ContainerSpec): object {
  const limit = (type: string, value: number): object => ({ type, hard: value, soft: value });
  return {
    terminal: false,
    user: { ...user, umask: 0o022 },
    args: command,
    env: [],
    cwd: workingDirectory,
    capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
    rlimits: [
      limit("RLIMIT_NOFILE", limits.openFiles),
      limit("RLIMIT_STACK", limits.stackBytes),
      limit("RLIMIT_FSIZE", limits.fileBytes),
      limit("RLIMIT_CORE", 0),
    ],
    noNewPrivileges: true,
  };
}

function mountsOf({ user, limits }: ContainerSpec): object[] {
  const tmpfs = (destination: string, ...options: readonly string[]): object => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", `size=${limits.diskBytes}`, ...options],
  });
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "nodev", "noexec"] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536"] },
    tmpfs("/dev/shm", "mode=1777"),
    tmpfs("/tmp", "mode=1777"),
    tmpfs("/work", "mode=755", `uid=${user.uid}`, `gid=${user.gid}`),
  ];
}

function resourcesOf(limits: ContainerSpec["limits"]): object {
  return {
    cpu: { quota: Math.round(limits.cpus * PERIOD_US), period: PERIOD_US },
    memory: { limit: limits.memoryBytes, swap: limits.memoryBytes },
    pids: { limit: limits.processes },
    devices: [{ allow: false, access: "rwm" }],
  };
}
