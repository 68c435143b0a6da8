/** Logs: one JSON object a line on stdout. */
import { pino, type Logger } from "pino";
import type { LogLevel } from "./config.ts";

export type { Logger } from "pino";

/** Where credentials could get into a line. */
const REDACTED = ["req.headers.authorization", "req.headers.cookie", "headers.authorization", "apiKey", "*.apiKey"];

/** Makes the logger of a process; `service` stands in every line. */
export function createLogger(service: string, level: LogLevel): Logger {
  return pino({
    level,
    base: { service, pid: process.pid },
    redact: REDACTED,
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}
