/** Variables about images: what a worker keeps of them, and where they come from. */
import * as z from "zod";
import { mirrorsSchema, optional, platformSchema, registriesSchema, whole } from "./values.ts";
import type { ValuesOf, Variables } from "./variable.ts";

/** When a job's image is pulled. */
const pullTimes = ["always", "missing", "never"] as const;

/** Which images jobs may have pulled. */
export interface PullPolicy {
  readonly when: (typeof pullTimes)[number];
  /** `host` or `host:port`, as in references. */
  readonly registries: readonly string[];
}

export const imageVariables = {
  LONGSHORE_IMAGE_CACHE_BYTES: {
    default: "",
    meaning:
      "what a worker's images may take on its disk, in bytes; of those that were pulled, the ones least recently used go " +
      "first, and what does not fit is refused. No limit if not set",
    schema: optional(whole(0, Number.MAX_SAFE_INTEGER)),
  },
  LONGSHORE_IMAGE_BYTES: {
    default: "68719476736",
    meaning: "what an image that is pulled or imported may hold, all of its layers together, unpacked, in bytes",
    schema: whole(1, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_IMAGE_LAYER_BYTES: {
    default: "34359738368",
    meaning: "what one layer of such an image may hold, unpacked, in bytes",
    schema: whole(1, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_IMAGE_LAYER_ENTRIES: {
    default: "1000000",
    meaning: "files, directories and links that one layer of such an image may hold",
    schema: whole(1, 100_000_000),
  },
  LONGSHORE_IMAGE_BLOB_BYTES: {
    default: "17179869184",
    meaning: "what one layer of such an image may have as it comes, compressed, in bytes",
    schema: whole(1, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_KEPT_LAYER_TTL_SECONDS: {
    default: "86400",
    meaning: "how long what a job with `keepLayer` wrote is kept on its worker's disk, to be committed",
    schema: whole(1, 31_536_000),
  },
  LONGSHORE_KEPT_LAYER_BYTES: {
    default: "10737418240",
    meaning: "what the layers of such jobs may take on a worker's disk together, in bytes; the oldest go first",
    schema: whole(0, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_PLATFORM: {
    default: "",
    meaning:
      "platform of the images that are pulled and imported, as `os/arch` or `os/arch/variant`; the machine's when not set",
    schema: optional(platformSchema),
  },
  LONGSHORE_PULL: {
    default: "never",
    meaning:
      "when jobs have their image pulled: `missing` (where the worker does not have it), `always` (asks the registry " +
      "each time), or `never`",
    schema: z.enum(pullTimes),
  },
  LONGSHORE_PULL_REGISTRIES: {
    default: "docker.io",
    meaning: "registries that jobs may pull from, as `host` or `host:port`, comma separated",
    schema: registriesSchema,
  },
  LONGSHORE_INSECURE_REGISTRIES: {
    default: "",
    meaning: "registries reached by plain HTTP besides those on loopback, as `host:port`, comma separated",
    schema: registriesSchema,
  },
  LONGSHORE_PRIVATE_HOSTS: {
    default: "",
    meaning:
      "hosts at private addresses to which registries may send workers, for blobs and tokens, as `host` or " +
      "`host:port`, comma separated",
    schema: registriesSchema,
  },
  LONGSHORE_REGISTRY_MIRRORS: {
    default: "",
    meaning: "where to pull from first, as `registry=mirror`, comma separated, e.g. `docker.io=mirror.example:5000`",
    schema: mirrorsSchema,
  },
} satisfies Variables;

export interface ImageConfig {
  /** What the image store may hold; undefined: no limit. */
  readonly imageCacheBytes: number | undefined;
  /** What an image may hold that is pulled or imported; bytes are of unpacked layers, but for `blobBytesMax`. */
  readonly imageLimits: {
    readonly bytesMax: number;
    readonly layerBytesMax: number;
    readonly layerEntriesMax: number;
    readonly blobBytesMax: number;
  };
  /** How long, and how much of it, what jobs write is kept that want it. */
  readonly keptLayers: { readonly ttlSeconds: number; readonly bytesMax: number };
  /** Of images that are pulled; undefined: the machine's own. */
  readonly platform:
    { readonly os: string; readonly architecture: string; readonly variant: string | undefined } | undefined;
  readonly pull: PullPolicy;
  /** `host:port` of registries that are reached by plain HTTP. */
  readonly insecureRegistries: readonly string[];
  /** `host` or `host:port` of hosts at private addresses to which registries may send us. */
  readonly privateHosts: readonly string[];
  /** Mirrors by registry, in the order in which they are tried. */
  readonly registryMirrors: ReadonlyMap<string, readonly string[]>;
}

export function imageConfig(values: ValuesOf<typeof imageVariables>): ImageConfig {
  return {
    imageCacheBytes: values.LONGSHORE_IMAGE_CACHE_BYTES,
    imageLimits: {
      bytesMax: values.LONGSHORE_IMAGE_BYTES,
      layerBytesMax: values.LONGSHORE_IMAGE_LAYER_BYTES,
      layerEntriesMax: values.LONGSHORE_IMAGE_LAYER_ENTRIES,
      blobBytesMax: values.LONGSHORE_IMAGE_BLOB_BYTES,
    },
    keptLayers: {
      ttlSeconds: values.LONGSHORE_KEPT_LAYER_TTL_SECONDS,
      bytesMax: values.LONGSHORE_KEPT_LAYER_BYTES,
    },
    platform: values.LONGSHORE_PLATFORM,
    pull: { when: values.LONGSHORE_PULL, registries: values.LONGSHORE_PULL_REGISTRIES },
    insecureRegistries: values.LONGSHORE_INSECURE_REGISTRIES,
    privateHosts: values.LONGSHORE_PRIVATE_HOSTS,
    registryMirrors: values.LONGSHORE_REGISTRY_MIRRORS,
  };
}
