import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustCall, cString } from "../linux/libc.ts";
import { HOST_NAME } from "./plan/namespaces.ts";

/** Changes with the content below, so that a layer made by an earlier version is not used. */
const VERSION = 2;

/** The id of the default user, inside: unprivileged there, too. */
export const DEFAULT_USER = { uid: 1000, gid: 1000 } as const;

const FILES: Readonly<Record<string, string>> = {
  "etc/hosts": `127.0.0.1\tlocalhost ${HOST_NAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n`,
  "etc/hostname": `${HOST_NAME}\n`,
  "etc/resolv.conf": "# no network\n",
};

const DIRECTORIES: Readonly<Record<string, { readonly mode: number; readonly uid: number; readonly gid: number }>> = {
  etc: { mode: 0o755, uid: 0, gid: 0 },
  dev: { mode: 0o755, uid: 0, gid: 0 },
  proc: { mode: 0o555, uid: 0, gid: 0 },
  tmp: { mode: 0o1777, uid: 0, gid: 0 },
  work: { mode: 0o755, ...DEFAULT_USER },
};

/**
 * What the container's own mounts cover. Opaque (overlayfs.rst, "whiteouts and opaque directories"), so that the kernel
 * does not look for them in every layer of the image when they are mounted.
 */
const COVERED = ["dev", "proc"];

/** Where the init layer of a data directory is. */
export function initLayerPath(dataDirectory: string): string {
  return join(dataDirectory, `init-layer-${VERSION}`);
}

/**
 * Makes the init layer, once for a data directory, and returns its path. It lies on top of every image's layers: the
 * mount points that a container needs are real directories in it, whatever an image has at their places (a directory
 * of an upper layer hides a symlink of a lower one), and the files under /etc are the container's, not the image's.
 */
export function prepareInitLayer(dataDirectory: string): string {
  const path = initLayerPath(dataDirectory);
  if (existsSync(path)) return path;
  // Several slots may get here at once: each makes its own, the first rename wins.
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  mkdirSync(temporary, { recursive: true });
  chmodSync(temporary, 0o755);
  for (const [name, { mode, uid, gid }] of Object.entries(DIRECTORIES)) {
    const directory = join(temporary, name);
    mkdirSync(directory);
    chmodSync(directory, mode);
    chownSync(directory, uid, gid);
  }
  for (const name of COVERED) markOpaque(join(temporary, name));
  for (const [name, content] of Object.entries(FILES)) {
    writeFileSync(join(temporary, name), content);
    chmodSync(join(temporary, name), 0o644);
  }
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { recursive: true });
    if (!existsSync(path)) throw error;
  }
  return path;
}

function markOpaque(directory: string): void {
  mustCall("lsetxattr", cString(directory), cString("trusted.overlay.opaque"), cString("y"), 1, 0);
}
