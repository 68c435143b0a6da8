/**
 * Volumes: directories of the workers' machines that jobs may mount. Which there are is the operator's decision alone; a
 * job asks for them by name.
 *
 * APIs and workers of an installation have the same LONGSHORE_VOLUMES: any worker may take any job, so a job that
 * passed the API's check has to find its volume wherever it goes. What is in a directory is each machine's own, unless
 * the operator shares it.
 */
import * as z from "zod";
import { LongshoreError } from "./errors.ts";
import { absolutePathSchema } from "./paths/schemas.ts";

/** How a volume can be mounted: to be read, or to be written to as well. */
export const volumeModes = ["ro", "rw"] as const;
export type VolumeMode = (typeof volumeModes)[number];

/** A directory that jobs may mount. */
export interface Volume {
  readonly name: string;
  /** On the workers' machines; absolute. */
  readonly path: string;
  /** `rw`: jobs may write to it. */
  readonly mode: VolumeMode;
}

/** Volumes by name. */
export type Volumes = ReadonlyMap<string, Volume>;

/** Volumes of one job. */
export const VOLUMES_MAX = 16;

const nameSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, { error: "is not made of a-z, 0-9, ., _ and -" });

/** What a job says of a volume. */
export const volumeRequestSchema = z
  .strictObject({
    name: nameSchema.meta({ description: "as the operator calls it", examples: ["datasets"] }),
    at: absolutePathSchema
      .refine((path) => !/^\/(?:$|(?:proc|sys|dev)(?:\/|$))/.test(path), {
        error: "is / or at or below /proc, /sys or /dev, where no volume can be",
      })
      .meta({ examples: ["/data"] }),
    mode: z.enum(volumeModes).default("ro"),
  })
  .meta({ id: "Volume", description: "a directory of the worker's machine, mounted into the container" });

export type VolumeRequest = z.output<typeof volumeRequestSchema>;

/** Checks that volumes exist and may be mounted so. Throws `invalid_request` with every fault and its path. */
export function checkVolumes(requested: readonly VolumeRequest[], volumes: Volumes): void {
  const details = requested.flatMap(({ name, mode }, index) => {
    const volume = volumes.get(name);
    if (volume === undefined) return [{ path: `volumes[${index}].name`, message: describeUnknown(volumes) }];
    if (mode === "ro" || volume.mode === "rw") return [];
    return [{ path: `volumes[${index}].mode`, message: `is rw, but jobs may only read ${name}` }];
  });
  if (details.length > 0) throw new LongshoreError("invalid_request", { details });
}

function describeUnknown(volumes: Volumes): string {
  if (volumes.size === 0) return "is not known: the operator has set no LONGSHORE_VOLUMES";
  return `is not known: choose one of ${[...volumes.keys()].join(", ")}`;
}

/** What of a job has to stay visible when its volumes are mounted. */
export interface MountedOver {
  readonly workingDirectory: string;
  /** Paths relative to the working directory. */
  readonly files: readonly string[];
  readonly outputs: readonly string[];
}

/** What is wrong with where volumes are to be mounted; `index` says which. */
export interface PlaceFault {
  readonly index: number;
  readonly message: string;
}

/** Volumes do not lie in each other, nor over what the job brings or is to return: that is in the container's own root. */
export function findPlaceFaults(volumes: readonly { readonly at: string }[], over: MountedOver): PlaceFault[] {
  return volumes.flatMap(({ at }, index) => {
    const other = volumes.find(
      (volume, position) => position < index && (isWithin(volume.at, at) || isWithin(at, volume.at)),
    );
    const file = over.files.find((path) => isWithin(`${over.workingDirectory}/${path}`, at));
    const faults = [
      other && `is at, above or below ${other.at}, where another volume is`,
      file !== undefined && `would hide the file ${file}`,
      over.outputs.length > 0 &&
        isWithin(over.workingDirectory, at) &&
        `holds the working directory, but outputs are not collected from volumes`,
    ];
    return faults.flatMap((message) => (message ? [{ index, message }] : []));
  });
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** `name=/path`, with `:ro` or `:rw` behind it; volumes are comma separated, and only read from unless it says `rw`. */
export const volumesSchema = z.string().transform((text, context): Volumes => {
  const refuse = (message: string): typeof z.NEVER => {
    context.addIssue({ code: "custom", message, input: text });
    return z.NEVER;
  };
  const volumes = new Map<string, Volume>();
  for (const item of text === "" ? [] : text.split(",").map((part) => part.trim())) {
    const [, name = "", path = "", mode = "ro"] = /^([^=]+)=(\/[^:]*?)(?::(ro|rw))?$/.exec(item) ?? [];
    if (!nameSchema.safeParse(name).success || !absolutePathSchema.safeParse(path).success || path === "/")
      return refuse(`has ${JSON.stringify(item)}, which is not of the form name=/path:ro or name=/path:rw`);
    if (volumes.has(name)) return refuse(`has ${name} twice`);
    const nested = [...volumes.values()].find((other) => isWithin(other.path, path) || isWithin(path, other.path));
    // Whoever writes to the outer one could put something else in the place of the inner one.
    if (nested !== undefined)
      return refuse(`has ${nested.name} and ${name} in one another, as ${nested.path} and ${path}`);
    volumes.set(name, { name, path, mode: mode === "rw" ? "rw" : "ro" });
  }
  return volumes;
});
