/** Debian from the host's own package sources: the same mirror, and the same proxy, as the host itself uses. */
import { glob, readFile } from "node:fs/promises";
import { runContained } from "./process.ts";

/** Left out of images: what no program reads. It takes two thirds off the number of files of a package. */
const DPKG_OPTIONS = [
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/man/*",
  // A finished layer is synced as a whole; an fsync for each unpacked file only takes time.
  "force-unsafe-io",
];

const APT_OPTIONS = ['Acquire::Languages "none"', 'Acquire::Retries "3"', 'APT::Install-Recommends "false"'];

/** Environment for package tools: nothing of the caller's but the search path and the proxy. */
export function packageEnvironment(): Record<string, string> {
  const proxies = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    DEBIAN_FRONTEND: "noninteractive",
    LC_ALL: "C.UTF-8",
    HOME: "/root",
    ...Object.fromEntries(proxies),
  };
}

/** What mmdebstrap copies from the host, or keeps for those who update, is no part of an image. */
const CLEANING = [
  ': >"$1/etc/resolv.conf"',
  ': >"$1/etc/hostname"',
  'find "$1/var/log" -type f -delete',
  'rm -f "$1"/etc/passwd- "$1"/etc/group- "$1"/etc/shadow- "$1"/etc/gshadow- "$1"/etc/subuid- "$1"/etc/subgid-',
  'rm -f "$1"/var/lib/dpkg/*-old "$1"/var/cache/debconf/*-old "$1"/var/cache/ldconfig/aux-cache',
];

/**
 * Writes a tar of a minimal Debian with apt.
 * @param release code name, e.g. `bookworm`
 */
export async function bootstrapDebian(
  release: string,
  archive: string,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  const args = [
    ...["--variant=apt", "--mode=root", "--format=tar", "--skip=output/dev"],
    ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
    ...APT_OPTIONS.map((option) => `--aptopt=${option}`),
    ...CLEANING.map((command) => `--customize-hook=${command}`),
    ...[release, archive, ...(await hostSources(release))],
  ];
  await runContained("mmdebstrap", args, { environment: packageEnvironment(), signal, onLine });
}

/**
 * The host's source files that hold the release's main archive. Files of third parties name suites or components
 * of their own. None on a host of another release: mmdebstrap then takes Debian's default mirror.
 */
async function hostSources(release: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of glob(["/etc/apt/sources.list", "/etc/apt/sources.list.d/*.{list,sources}"])) {
    const active = (await readFile(path, "utf8")).replaceAll(/^\s*#.*$/gm, "");
    if (hasWord(active, release) && hasWord(active, "main")) found.push(path);
  }
  return found;
}

function hasWord(text: string, word: string): boolean {
  return text.split(/\s+/).includes(word);
}
