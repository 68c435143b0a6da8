/** One event of a stream of server-sent events. */
export interface ServerSentEvent {
  /** What to send as Last-Event-ID to get what follows. */
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

/**
 * Reads server-sent events as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html). An event
 * without its final empty line was cut and is not given; comments and times to wait are nobody's concern here.
 */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent, void, void> {
  let id = "";
  let name = "message";
  let data: string[] = [];
  for await (const line of readLines(body)) {
    if (line === "") {
      if (data.length > 0) yield { id, name, data: data.join("\n") };
      [name, data] = ["message", []];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") id = value;
    else if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
}

/** Lines that have ended. */
async function* readLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  // A line may come in many pieces: they are put together once.
  let begun: string[] = [];
  for await (const bytes of body) {
    const [rest = "", ...lines] = decoder.decode(bytes, { stream: true }).split("\n");
    begun.push(rest);
    for (const line of lines) {
      yield begun.join("").replace(/\r$/, "");
      begun = [line];
    }
  }
}
