/** Logs: one JSON object a line on stdout. */
import { pino, type Logger } from "pino";
import type { LogLevel } from "./config.ts";

export type { Logger } from "pino";

/**
 * Where credentials, and what clients send, could get into a line. ioredis puts the command that failed into its errors,
 * with all of its words: Redis's password where it logs in, a job where it stores one.
 */
const REDACTED = [
  ...["req.headers.authorization", "req.headers.cookie", "headers.authorization", "apiKey", "*.apiKey"],
  ...["err.command.args", "err.*.command.args", "err.*[*].command.args"],
];

/** Lines leave in pieces of this size, in bytes, or when they have waited this long, in milliseconds. */
const BATCH = { minLength: 4096, periodicFlush: 100 };

/**
 * Makes the logger of a process; `service` stands in every line. What has not left is written when the process exits, but
 * lost when it is killed: a tenth of a second of lines, for two turns of the event loop less in each request.
 */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      redact: REDACTED,
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: process.stdout.fd, ...BATCH, sync: false }),
  );
}
