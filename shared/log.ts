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

/** Makes the logger of a process; `service` stands in every line. */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino({
    level,
    base: { service, pid: process.pid },
    redact: REDACTED,
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}
