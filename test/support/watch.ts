/** A client that watches jobs, as the `longshore` command does. */
import { readEvents, type ServerSentEvent } from "../../services/cli/event-stream.ts";

/** What somebody has seen of a job. */
export interface Watch extends AsyncDisposable {
  /** Names and data of all events so far; output only by its name. */
  readonly events: readonly ServerSentEvent[];
  /** Bytes of a stream that came so far, of the latest attempt. */
  bytes(stream: "stdout" | "stderr"): Buffer;
  /** Data of the events of a name. */
  dataOf(name: string): unknown[];
  /** Resolves when the stream has ended, by itself or by {@link cut}; whether with a result is seen in the events. */
  readonly ended: Promise<void>;
  cut(): void;
}

/** Reads a stream of events to its end. */
export function watchResponse(response: Response, abort = new AbortController(), lastEventId = ""): Watch {
  const { body, status } = response;
  if (status !== 200 || body === null) throw new Error(`answered ${status}`);
  const events: ServerSentEvent[] = [];
  let pieces: { name: string; bytes: Buffer }[] = [];
  // What was had before, by the id: letter, attempt, number, bytes of stdout, bytes of stderr.
  let [latest, , stdout, stderr] = lastEventId.slice(1).split("-").map(Number);
  const read = async (): Promise<void> => {
    for await (const event of readEvents(body)) {
      events.push(event);
      const data: unknown = JSON.parse(event.data);
      if (event.name === "state") {
        // Every attempt begins with a state; that a job is queued again does not undo its output.
        const { attempt } = data as { attempt: number };
        if (attempt !== latest) [pieces, stdout, stderr] = [[], 0, 0];
        latest = attempt;
      } else if (event.name === "stdout" || event.name === "stderr") {
        const { content, encoding, offset } = data as { content: string; encoding: "utf8" | "base64"; offset: number };
        const before = (event.name === "stdout" ? stdout : stderr) ?? 0;
        const had = pieces.filter(({ name }) => name === event.name).reduce((sum, { bytes }) => sum + bytes.length, 0);
        if (offset !== before + had) throw new Error(`${event.name} goes on at ${offset} instead of ${before + had}`);
        pieces.push({ name: event.name, bytes: Buffer.from(content, encoding) });
      }
    }
  };
  const cut = (): void => abort.abort();
  const ended = read().catch((error: unknown) => {
    if (!abort.signal.aborted && !(error instanceof TypeError)) throw error;
  });
  return {
    events,
    bytes: (stream) => Buffer.concat(pieces.filter(({ name }) => name === stream).map(({ bytes }) => bytes)),
    dataOf: (name) => events.filter((event) => event.name === name).map(({ data }): unknown => JSON.parse(data)),
    ended,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await ended;
    },
  };
}

/** Begins to watch a job, or goes on behind an event. */
export async function watchJob(url: string, id: string, lastEventId?: string): Promise<Watch> {
  const abort = new AbortController();
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  return watchResponse(
    await fetch(`${url}/v1/jobs/${id}/events`, { headers, signal: abort.signal }),
    abort,
    lastEventId,
  );
}
