/**
 * Everything that can go wrong by our own account, in one table: code → HTTP status → message.
 *
 * What a program does wrong (it fails, it runs out of memory) is not in here: that is a result, and
 * results are values (`shared/job-result.ts`). The OpenAPI document and the table in the README are
 * made from this one, and a test holds them together.
 */

interface ErrorEntry {
  /** Status of the HTTP answer, or null for a code that is only ever found in the `error` of a failed job. */
  readonly status: number | null;
  /** Said when the place that throws has nothing more precise to say. */
  readonly message: string;
}

export const errorTable = {
  invalid_request: { status: 400, message: "the request does not have the expected form" },
  invalid_json: { status: 400, message: "the body is not valid JSON" },
  unauthorized: { status: 401, message: "send a valid key as authorization: bearer KEY" },
  forbidden_host: {
    status: 403,
    message: "without LONGSHORE_API_KEYS only requests addressed to localhost are answered",
  },
  forbidden: { status: 403, message: "this key may not do that: LONGSHORE_ADMIN_KEYS has those that may" },
  pull_forbidden: { status: 403, message: "the configuration or the registry does not allow to pull this image" },
  not_found: { status: 404, message: "there is nothing at this path: see /docs" },
  job_not_found: { status: 404, message: "no job has this id, or its result has expired" },
  output_not_found: { status: 404, message: "the job returned no file of this path, or it has expired" },
  report_not_found: {
    status: 404,
    message: "the job has no report: only those of kind shard have one, of their tests",
  },
  blob_not_found: { status: 404, message: "you have no blob of this digest, or it has expired: put it again" },
  image_not_found: { status: 404, message: "no worker has this image, or no registry where it would be pulled" },
  method_not_allowed: { status: 405, message: "this path does not take this method: see the allow header" },
  idempotency_conflict: { status: 409, message: "this idempotency-key was used for a different job before" },
  report_not_ready: { status: 409, message: "the job is not finished: its report comes with its result" },
  body_too_large: { status: 413, message: "the body is larger than LONGSHORE_BODY_BYTES" },
  blob_too_large: { status: 413, message: "the blob is larger than LONGSHORE_BLOB_BYTES" },
  blob_quota_exceeded: {
    status: 413,
    message: "your blobs would take more than LONGSHORE_BLOB_QUOTA_BYTES: delete some, or wait until they expire",
  },
  unsupported_media_type: { status: 415, message: "send the body as content-type: application/json in utf-8" },
  image_unusable: { status: 422, message: "the image is refused, or asks for what a container does not have" },
  queue_full: { status: 429, message: "the queue is full: retry later" },
  rate_limited: { status: 429, message: "too many requests: retry later" },
  internal_error: { status: 500, message: "an unexpected error, logged under the request's id" },
  registry_unreachable: { status: 502, message: "the registry of the image cannot be reached" },
  redis_unavailable: { status: 503, message: "redis cannot be reached: retry later" },
  blobs_unavailable: { status: 503, message: "the store of blobs cannot be reached: retry later" },
  no_worker: { status: 503, message: "no worker is alive: start one with npm run worker" },
  language_unavailable: { status: null, message: "the worker has no preset of this language" },
  image_unavailable: { status: null, message: "the worker cannot get this image" },
  unusable_path: {
    status: null,
    message: "the image has no place for the request's workingDirectory, files or layers",
  },
  files_too_large: { status: null, message: "the request's files do not fit into its limits.diskBytes" },
  blob_unavailable: { status: null, message: "the worker cannot get a blob that the job names" },
  blob_refused: { status: null, message: "a blob of the job's layers is no tar that may be unpacked" },
  volume_unavailable: { status: null, message: "the worker cannot mount a volume of the job's" },
  reports_too_large: { status: null, message: "the reports of all shards take too much to be merged" },
  setup_failed: { status: null, message: "the container could not be set up" },
  container_lost: { status: null, message: "the container was ended by something outside of it" },
  worker_lost: {
    status: null,
    message: "the workers that ran the job were lost, as often as LONGSHORE_ATTEMPTS allows",
  },
} as const satisfies Record<string, ErrorEntry>;

/** A code of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable;

/** All codes, in the order of the table. */
export const errorCodes = Object.keys(errorTable) as readonly ErrorCode[] as readonly [ErrorCode, ...ErrorCode[]];

/** What is wrong with one field of a request; `path` reads like `files[0].path`, empty for the whole. */
export interface ErrorDetail {
  readonly path: string;
  readonly message: string;
}

/** What may be said beyond the code. */
export interface ErrorOptions {
  /** Replaces the table's message. */
  readonly message?: string;
  readonly details?: readonly ErrorDetail[];
  /** Seconds after which a repetition makes sense; becomes the Retry-After header. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** The body of an HTTP error, and (without details) the `error` of a failed job. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: readonly ErrorDetail[];
}

/** A failure that has a code: the only class of error that reaches a client with its message. */
export class LongshoreError extends Error {
  override readonly name = "LongshoreError";
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(options.message ?? errorTable[code].message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** HTTP status; 500 for codes that belong into a job and got out of it. */
  get status(): number {
    return errorTable[this.code].status ?? 500;
  }

  toBody(): ErrorBody {
    const body = { code: this.code, message: this.message };
    return this.details.length === 0 ? body : { ...body, details: this.details };
  }
}

/** The table in markdown, for the README. */
export function renderErrorTable(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { status, message }]) => `| \`${code}\` | ${status ?? "in a job"} | ${message} |`,
  );
  return ["| code | status | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}
