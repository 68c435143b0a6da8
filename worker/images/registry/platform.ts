/** For which machines an image is: what an index offers, and what of it runs here. */
import { hostArchitecture } from "../oci.ts";

/** Names as in Go, which the image specification prescribes: `linux`, `amd64`, `v8`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Of the instruction set, e.g. `v7` of `arm`; undefined: whatever fits. */
  readonly variant?: string | undefined;
}

/** The platform of this machine. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: hostArchitecture() };
}

/** `linux/arm/v7`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined || variant === "" ? [] : [variant])].join("/");
}

/**
 * How well what is offered suits what is wanted: higher is better, undefined is not at all.
 *
 * A processor runs code for earlier variants of its architecture: `arm/v7` runs v6. With no variant wanted, the
 * plainest one is taken, except that 64-bit ARM starts at v8 and images for arm are v7 where none is said.
 */
export function suitability(offered: Platform, wanted: Platform): number | undefined {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  const level = levelOf(offered);
  const most = levelOf(wanted);
  return level === undefined || most === undefined || level > most ? undefined : level;
}

/** Variants that are meant where none is stated (containerd's `platforms.Normalize`). */
const IMPLIED: Readonly<Record<string, number>> = { arm: 7, arm64: 8, amd64: 1 };

function levelOf({ architecture, variant }: Platform): number | undefined {
  if (variant === undefined || variant === "") return IMPLIED[architecture] ?? 0;
  const level = /^v(\d{1,2})(?:\.\d{1,2})?$/.exec(variant)?.[1];
  return level === undefined ? undefined : Number(level);
}

/**
 * What is wrong with an image whose configuration is for one platform where another is wanted; undefined where it will do.
 * Variants are an index's to say: few configurations do.
 */
export function describePlatformFault(
  { os, architecture }: Pick<Platform, "os" | "architecture">,
  wanted: Platform,
): string | undefined {
  if (os === wanted.os && architecture === wanted.architecture) return undefined;
  return `is for ${formatPlatform({ os, architecture })}, not for ${formatPlatform(wanted)}: see LONGSHORE_PLATFORM`;
}

/** The one of `entries` that suits best, the first of equals; undefined when none does. */
export function choosePlatform<Entry extends { readonly platform?: Platform | undefined }>(
  entries: readonly Entry[],
  wanted: Platform,
): Entry | undefined {
  let best: { readonly entry: Entry; readonly score: number } | undefined;
  for (const entry of entries) {
    const score = entry.platform && suitability(entry.platform, wanted);
    if (score !== undefined && (best === undefined || score > best.score)) best = { entry, score };
  }
  return best?.entry;
}
