/**
 * The limits of a run: default, range and meaning of each, in one table.
 *
 * Three bounds apply to what a client asks for. `minimum`: below it no program can start. The server's
 * maximum: `maximum`, unless the operator sets `LONGSHORE_MAX_…`. `ceiling`: what the operator may set at
 * most, so that no configuration makes a number that the kernel or the result's encoding cannot carry.
 */
import * as z from "zod";

interface LimitEntry {
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly ceiling: number;
  /** Whole numbers only, unless `fraction`. */
  readonly number: "whole" | "fraction";
  readonly meaning: string;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;

export const limitTable = {
  cpus: {
    default: 1,
    // The kernel's smallest quota is 1 ms; in a period of 100 ms that is a hundredth of a core.
    minimum: 0.01,
    maximum: 16,
    ceiling: 1024,
    number: "fraction",
    meaning: "CPU bandwidth in cores; 0.5 is half of one core",
  },
  cpuTimeMs: {
    default: 5000,
    minimum: 1,
    maximum: 300_000,
    ceiling: 86_400_000,
    number: "whole",
    meaning: "CPU time of all processes together, in milliseconds",
  },
  wallTimeMs: {
    default: 10_000,
    minimum: 1,
    maximum: 600_000,
    ceiling: 86_400_000,
    number: "whole",
    meaning: "time from the start of the command to its end, in milliseconds",
  },
  memoryBytes: {
    default: 256 * MiB,
    minimum: 4 * MiB,
    maximum: 4 * GiB,
    ceiling: 4 * TiB,
    number: "whole",
    meaning: "memory, page cache and tmpfs included, in bytes; there is no swap beyond it",
  },
  processes: {
    default: 64,
    minimum: 1,
    maximum: 1024,
    ceiling: 32_768,
    number: "whole",
    meaning: "processes and threads alive at once",
  },
  outputBytes: {
    default: MiB,
    minimum: 1,
    maximum: 8 * MiB,
    // A byte takes up to 2 characters in JSON (encodeContent); stdout and stderr of build and run must fit one V8 string
    // (512 Mi).
    ceiling: 16 * MiB,
    number: "whole",
    meaning: "bytes kept of stdout, and as many again of stderr",
  },
  diskBytes: {
    default: 64 * MiB,
    minimum: 4 * KiB,
    maximum: GiB,
    ceiling: 4 * TiB,
    number: "whole",
    meaning: "size of each writable file system of the container, in bytes",
  },
  fileBytes: {
    default: 64 * MiB,
    minimum: 1,
    maximum: GiB,
    ceiling: 4 * TiB,
    number: "whole",
    meaning: "size of the largest file that the program may write, in bytes; as diskBytes when not given",
  },
  openFiles: {
    default: 256,
    minimum: 8,
    maximum: 4096,
    ceiling: 1_048_576,
    number: "whole",
    meaning: "open descriptors of one process",
  },
  stackBytes: {
    default: 64 * MiB,
    minimum: 64 * KiB,
    maximum: GiB,
    ceiling: 4 * TiB,
    number: "whole",
    meaning: "stack of the main thread, in bytes",
  },
} as const satisfies Record<string, LimitEntry>;

/** A name of {@link limitTable}. */
export type LimitName = keyof typeof limitTable;

/** A value for every limit; see {@link limitTable} for the units. */
export type Limits = Readonly<Record<LimitName, number>>;

/** Values for some of the limits. */
export type PartialLimits = { readonly [Name in LimitName]?: number | undefined };

/** All names, in the order of the table. */
export const limitNames = Object.keys(limitTable) as readonly LimitName[];

/** The largest value of each limit that this server grants when the operator sets nothing. */
export const defaultMaxima: Limits = fromTable((name) => limitTable[name].maximum);

type LimitsSchema = z.ZodObject<Record<LimitName, z.ZodOptional<z.ZodNumber>>, z.core.$strict>;

/** Schema of the limits that a client may ask for on a server that grants up to `maxima`. */
export function createLimitsSchema(maxima: Limits): LimitsSchema {
  const shape = fromTable((name) => {
    const entry: LimitEntry = limitTable[name];
    const number = entry.number === "whole" ? z.int() : z.number();
    return number
      .min(entry.minimum)
      .max(maxima[name])
      .optional()
      .meta({ description: entry.meaning, ...(name === "fileBytes" ? {} : { default: entry.default }) });
  });
  return z.strictObject(shape);
}

/**
 * Fills up what was asked for: the request's own values first, then the preset's, then the table's.
 * A default that is larger than the server grants is cut to the maximum; `requested` has been validated before.
 */
export function resolveLimits(maxima: Limits, requested: PartialLimits, preset: PartialLimits = {}): Limits {
  const diskBytes = requested.diskBytes ?? Math.min(preset.diskBytes ?? limitTable.diskBytes.default, maxima.diskBytes);
  const defaults: PartialLimits = { fileBytes: diskBytes };
  return fromTable((name) => {
    const fallback = preset[name] ?? defaults[name] ?? limitTable[name].default;
    return requested[name] ?? Math.min(fallback, maxima[name]);
  });
}

/** Builds a record with one value for each limit. */
export function fromTable<Value>(valueOf: (name: LimitName) => Value): Record<LimitName, Value> {
  return Object.fromEntries(limitNames.map((name) => [name, valueOf(name)])) as Record<LimitName, Value>;
}
