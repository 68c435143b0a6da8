/**
 * The configuration: environment variables, validated at start, each declared once.
 *
 * API, worker and command line read the same variables, so that one environment file serves all of them.
 * Whatever is wrong is said at once and by name, and nothing starts.
 */
import { isIP } from "node:net";
import { availableParallelism } from "node:os";
import * as z from "zod";
import { type BlobConfig, blobConfig, blobVariables } from "./config/blob-variables.ts";
import { type ImageConfig, imageConfig, imageVariables } from "./config/image-variables.ts";
import { apiKeysSchema, decimal, hostSchema, optional, urlOf, whole } from "./config/values.ts";
import type { ValuesOf, Variable, Variables } from "./config/variable.ts";
import { fromTable, limitNames, limitTable, type LimitName, type Limits } from "./limits.ts";
import { ID_RANGE_END, IDS_PER_SLOT } from "./ids.ts";
import { type Volumes, volumesSchema } from "./volumes.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const cpusetModes = ["auto", "none"] as const;

const variables = {
  REDIS_URL: {
    default: "redis://127.0.0.1:6379",
    meaning: "Redis that API and workers share; `npm start` runs one of its own when this is not set",
    schema: urlOf("redis", "rediss"),
  },
  LONGSHORE_QUEUE: {
    default: "longshore",
    meaning: "prefix of every key in Redis, so that installations can share one",
    schema: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, { error: "is not made of a-z, 0-9, _ and -" }),
  },
  LONGSHORE_HOST: { default: "127.0.0.1", meaning: "address that the API listens on", schema: hostSchema },
  LONGSHORE_PORT: { default: "8080", meaning: "port that the API listens on", schema: whole(0, 65_535) },
  LONGSHORE_API_KEYS: {
    default: "",
    meaning: "SHA-256 hashes of the keys that may use the API, in hex, comma separated; without it, loopback only",
    schema: apiKeysSchema,
  },
  LONGSHORE_ADMIN_KEYS: {
    default: "",
    meaning: "SHA-256 hashes of further keys, which may also pull and remove images; without any keys, everyone may",
    schema: apiKeysSchema,
  },
  LONGSHORE_QUEUE_LIMIT: {
    default: "10000",
    meaning: "waiting jobs beyond which the API answers 429",
    schema: whole(1, 10_000_000),
  },
  LONGSHORE_BODY_BYTES: {
    default: "8388608",
    meaning: "largest body of a request, in bytes",
    schema: whole(1024, 268_435_456),
  },
  LONGSHORE_RATE_LIMIT: {
    default: "0",
    meaning: "requests per second of one key, or of one address without keys; 0 is no limit",
    schema: whole(0, 1_000_000),
  },
  LONGSHORE_RESULT_TTL_SECONDS: {
    default: "3600",
    meaning: "how long a finished job and its files are kept",
    schema: whole(1, 31_536_000),
  },
  LONGSHORE_ATTEMPTS: {
    default: "3",
    meaning: "how often a job is started when workers fail it; what the program does is no failure",
    schema: whole(1, 100),
  },
  LONGSHORE_DATA: {
    default: "/var/lib/longshore",
    meaning: "directory of images, scratch and the Redis that `npm start` runs",
    schema: z.string().regex(/^\//, { error: "is not an absolute path" }),
  },
  LONGSHORE_SLOTS: {
    default: "",
    meaning: "containers that a worker runs at once; as many as CPUs when not set",
    schema: optional(whole(1, 1024)),
  },
  LONGSHORE_WARM_CONTAINERS: {
    default: "4",
    meaning:
      "containers that each slot keeps prepared for the jobs that it is likely to get next, each for another image or " +
      "kind of root; 0 is none",
    schema: whole(0, 64),
  },
  LONGSHORE_WARM_SECONDS: {
    default: "300",
    meaning: "how long such a container is kept while no job comes for it",
    schema: whole(1, 86_400),
  },
  LONGSHORE_CPUSET: {
    default: "auto",
    meaning: "`auto`: each slot of a worker has a CPU core of its own, where there are as many; `none`: all share all",
    schema: z.enum(cpusetModes),
  },
  LONGSHORE_ID_BASE: {
    default: "1879048192",
    meaning: "first host user id of the slots' ranges, 131072 for each slot",
    schema: whole(IDS_PER_SLOT, ID_RANGE_END - IDS_PER_SLOT),
  },
  LONGSHORE_DRAIN_MS: {
    default: "30000",
    meaning: "how long a worker that is told to stop lets running jobs finish, in milliseconds",
    schema: whole(0, 86_400_000),
  },
  LONGSHORE_VOLUMES: {
    default: "",
    meaning:
      "directories of the workers' machines that jobs may mount, as `name=/path:ro` or `name=/path:rw`, comma " +
      "separated; the same for APIs and workers",
    schema: volumesSchema,
  },
  ...imageVariables,
  ...blobVariables,
  LONGSHORE_METRICS_HOST: {
    default: "127.0.0.1",
    meaning: "address on which the worker serves its metrics",
    schema: hostSchema,
  },
  LONGSHORE_METRICS_PORT: {
    default: "9464",
    meaning: "port on which the worker serves its metrics",
    schema: whole(0, 65_535),
  },
  LONGSHORE_LOG_LEVEL: {
    default: "info",
    meaning: `least severe messages that are logged: ${logLevels.join(", ")}`,
    schema: z.enum(logLevels),
  },
  LONGSHORE_URL: {
    default: "http://127.0.0.1:8080",
    meaning: "API that the `longshore` command talks to",
    schema: urlOf("http", "https"),
  },
  LONGSHORE_API_KEY: {
    default: "",
    meaning: "key that the `longshore` command sends",
    schema: optional(z.string().max(1024)),
  },
} satisfies Variables;

/** `cpuTimeMs` → `LONGSHORE_MAX_CPU_TIME_MS`. */
function maximumVariableName(limit: LimitName): string {
  return `LONGSHORE_MAX_${limit.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

const maximumVariables: Record<LimitName, Variable<number>> = fromTable((name) => {
  const { minimum, maximum, ceiling, number } = limitTable[name];
  return {
    default: String(maximum),
    meaning: `largest \`${name}\` that a job may ask for`,
    schema: number === "whole" ? whole(minimum, ceiling) : decimal(minimum, ceiling),
  };
});

const allVariables: ReadonlyMap<string, Variable<unknown>> = new Map<string, Variable<unknown>>([
  ...Object.entries(variables),
  ...limitNames.map((name) => [maximumVariableName(name), maximumVariables[name]] as const),
]);

type Values = ValuesOf<typeof variables>;

/** The configuration of API, worker and command line; times in milliseconds where the name does not say otherwise. */
export interface Config extends ImageConfig, BlobConfig {
  readonly redisUrl: string;
  /** Prefix of every key in Redis; stands in braces there. */
  readonly queue: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 hashes in lower case hex of all keys; empty: no keys, loopback only. */
  readonly apiKeys: readonly string[];
  /** Of the keys that may also change what is installed. */
  readonly adminKeys: readonly string[];
  readonly queueLimit: number;
  readonly bodyBytes: number;
  /** Requests per second; 0 is no limit. */
  readonly rateLimit: number;
  readonly resultTtlSeconds: number;
  readonly attempts: number;
  readonly dataDirectory: string;
  readonly slots: number;
  /** What each slot prepares ahead of jobs. */
  readonly warmth: { readonly containersMax: number; readonly idleMs: number };
  readonly cpuset: (typeof cpusetModes)[number];
  readonly idBase: number;
  readonly drainMs: number;
  /** What jobs may mount. */
  readonly volumes: Volumes;
  readonly metricsHost: string;
  readonly metricsPort: number;
  readonly logLevel: LogLevel;
  readonly url: string;
  readonly apiKey: string | undefined;
  /** Largest limits that a job may ask for. */
  readonly maxima: Limits;
}

/** The environment does not describe a configuration; the message has one line for each variable at fault. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/** Reads the configuration. Throws a {@link ConfigError} that names every variable at fault. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  for (const name of Object.keys(environment)) {
    if (name.startsWith("LONGSHORE_") && !allVariables.has(name)) {
      faults.push(`${name} is unknown: see the table of variables in README.md`);
    }
  }
  const values = new Map<string, unknown>();
  for (const [name, variable] of allVariables) {
    const parsed = variable.schema.safeParse(environment[name] ?? variable.default);
    if (parsed.success) values.set(name, parsed.data);
    else faults.push(`${name} ${describeFault(parsed.error)}`);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  const config = assemble(
    Object.fromEntries(values) as Values,
    fromTable((name) => values.get(maximumVariableName(name)) as number),
  );
  const contradictions = findContradictions(config);
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  return config;
}

function assemble(values: Values, maxima: Limits): Config {
  return {
    redisUrl: values.REDIS_URL,
    queue: values.LONGSHORE_QUEUE,
    host: values.LONGSHORE_HOST,
    port: values.LONGSHORE_PORT,
    apiKeys: [...values.LONGSHORE_API_KEYS, ...values.LONGSHORE_ADMIN_KEYS],
    adminKeys: values.LONGSHORE_ADMIN_KEYS,
    queueLimit: values.LONGSHORE_QUEUE_LIMIT,
    bodyBytes: values.LONGSHORE_BODY_BYTES,
    rateLimit: values.LONGSHORE_RATE_LIMIT,
    resultTtlSeconds: values.LONGSHORE_RESULT_TTL_SECONDS,
    attempts: values.LONGSHORE_ATTEMPTS,
    dataDirectory: values.LONGSHORE_DATA,
    slots: values.LONGSHORE_SLOTS ?? availableParallelism(),
    warmth: { containersMax: values.LONGSHORE_WARM_CONTAINERS, idleMs: values.LONGSHORE_WARM_SECONDS * 1000 },
    cpuset: values.LONGSHORE_CPUSET,
    idBase: values.LONGSHORE_ID_BASE,
    drainMs: values.LONGSHORE_DRAIN_MS,
    volumes: values.LONGSHORE_VOLUMES,
    ...imageConfig(values),
    ...blobConfig(values),
    metricsHost: values.LONGSHORE_METRICS_HOST,
    metricsPort: values.LONGSHORE_METRICS_PORT,
    logLevel: values.LONGSHORE_LOG_LEVEL,
    url: values.LONGSHORE_URL,
    apiKey: values.LONGSHORE_API_KEY,
    maxima,
  };
}

function findContradictions(config: Config): string[] {
  const faults: string[] = [];
  if (config.apiKeys.length === 0 && !isLoopback(config.host)) {
    faults.push(`LONGSHORE_HOST is ${config.host}, which others can reach: set LONGSHORE_API_KEYS, or use 127.0.0.1`);
  }
  if (config.idBase + 2 * config.slots * IDS_PER_SLOT > ID_RANGE_END) {
    faults.push(`LONGSHORE_ID_BASE leaves no room for ${config.slots} slots below user id ${ID_RANGE_END}: lower it`);
  }
  return faults;
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function describeFault(error: z.ZodError): string {
  const [issue] = error.issues;
  const message = issue?.message ?? "is malformed";
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** The table of variables in markdown, for the README. */
export function renderVariableTable(): string {
  const rows = [...allVariables].map(
    ([name, variable]) =>
      `| \`${name}\` | ${variable.default === "" ? "" : `\`${variable.default}\``} | ${variable.meaning} |`,
  );
  return ["| name | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}
