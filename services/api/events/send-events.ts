import { once } from "node:events";
import type { Response } from "express";
import type { ApiContext } from "../context.ts";
import type { Position } from "./position.ts";
import { watchJob } from "./watch-job.ts";
import type { WatchedEvent } from "./watched-event.ts";

/** How often a connection without news carries a sign of life, in milliseconds: proxies tend to close silent ones. */
const HEARTBEAT_MS = 15_000;

/** For how long a reader may take nothing, in milliseconds, unless stated. It may come back and go on where it was. */
const PATIENCE_MS = 120_000;

/** After which a client tries again whose connection broke, in milliseconds. */
const RETRY_MS = 1000;

/**
 * Answers with the events of a job that there is, from a position to its end.
 *
 * What a reader has not taken is in the socket's buffer and one batch here: nothing more is read for it until then. An
 * answer that ends without a `result` was cut: the API stops, the job has expired, or the reader took nothing.
 */
export async function sendEvents(
  context: ApiContext,
  response: Response,
  job: { readonly id: string; readonly from: Position },
): Promise<void> {
  response.status(200).type("text/event-stream");
  // nginx would collect the events otherwise
  response.set("x-accel-buffering", "no");
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const ended = AbortSignal.any([gone.signal, context.closing]);
  using _watching = context.metrics.watching();
  using _heartbeat = beat(response);
  response.write(`retry: ${RETRY_MS}\n\n`);
  for await (const event of watchJob(context, job.id, job.from, ended)) {
    if (response.destroyed) return;
    if (response.write(format(event))) continue;
    const patienceMs = context.readerPatienceMs ?? PATIENCE_MS;
    if ((await whenDrained(response, gone.signal, patienceMs)) === "stalled") response.destroy();
  }
  response.end();
}

function format({ id, name, data }: WatchedEvent): string {
  // JSON has no line breaks in it.
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function whenDrained(response: Response, gone: AbortSignal, patienceMs: number): Promise<"drained" | "stalled"> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), patienceMs);
  try {
    await once(response, "drain", { signal: AbortSignal.any([gone, patience.signal]) });
    return "drained";
  } catch {
    return "stalled";
  } finally {
    // A stream of many megabytes waits often: no timer may outlive its wait.
    clearTimeout(timer);
  }
}

function beat(response: Response): Disposable {
  const timer = setInterval(() => {
    if (!response.writableNeedDrain) response.write(":\n\n");
  }, HEARTBEAT_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
