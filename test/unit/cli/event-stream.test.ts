import { describe, expect, it } from "vitest";
import { readEvents, type ServerSentEvent } from "../../../services/cli/event-stream.ts";

/** Reads a text that comes in pieces of so many bytes. */
async function read(text: string, pieceBytes: number): Promise<ServerSentEvent[]> {
  const bytes = Buffer.from(text);
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  const events: ServerSentEvent[] = [];
  for await (const event of readEvents(new ReadableStream({ start: fill }))) events.push(event);
  return events;

  function fill(controller: ReadableStreamDefaultController<Uint8Array>): void {
    for (const piece of pieces) controller.enqueue(piece);
    controller.close();
  }
}

describe("server-sent events", () => {
  it.each([1, 2, 3, 7, 1000])("are read from pieces of %i bytes", async (pieceBytes) => {
    const text =
      'retry: 1000\n\nid: a1\nevent: stdout\ndata: {"content":"ä€😀"}\n\n:\n\nid: a2\nevent: x\ndata:1\ndata: 2\n\n';
    expect(await read(text, pieceBytes)).toEqual([
      { id: "a1", name: "stdout", data: '{"content":"ä€😀"}' },
      { id: "a2", name: "x", data: "1\n2" },
    ]);
  });

  it("that were cut are not given", async () => {
    expect(await read("id: 1\nevent: a\ndata: 1\n\nid: 2\nevent: b\ndata: 2\n", 5)).toEqual([
      { id: "1", name: "a", data: "1" },
    ]);
  });

  it("may have lines that end as on Windows", async () => {
    expect(await read("id: 1\r\nevent: a\r\ndata: 1\r\n\r\n", 3)).toEqual([{ id: "1", name: "a", data: "1" }]);
  });
});
