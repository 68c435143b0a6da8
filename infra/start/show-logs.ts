import type { Readable } from "node:stream";
import pretty from "pino-pretty";

/** Shows a program's log, one JSON object a line, in a form for people. Other lines are passed on as they are. */
export function showLogs(log: Readable): void {
  log.pipe(
    pretty({
      ignore: "pid,service,req,res",
      messageFormat: "{service}: {msg}{if req.method} {req.method} {req.url} {res.statusCode}{end}",
      singleLine: true,
    }),
  );
}
