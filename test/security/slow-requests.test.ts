/** Requests that never come to their end, at an API as operators run it. */
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limitUnread } from "../../services/api/limit-unread.ts";
import { type ApiProcess, startApiProcess } from "../support/api-process.ts";
import { startRedis } from "../support/redis.ts";

const resources = new AsyncDisposableStack();
let api: ApiProcess;
let port: number;
beforeAll(async () => {
  const redis = await startRedis();
  resources.defer(() => redis.stop());
  api = resources.use(startApiProcess({ REDIS_URL: redis.url }));
  port = Number(new URL(await api.listening()).port);
});
afterAll(() => resources.disposeAsync());

/** Sends the first bytes at once, then one after the other for as long as it may; resolves with the answer when it is cut off. */
async function drip(begun: string, byte: string): Promise<string> {
  const socket: Socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (piece: string) => (answer += piece));
  socket.on("error", () => undefined);
  socket.write(begun);
  const dripping = setInterval(() => socket.write(byte), 200);
  await new Promise((resolve) => void socket.once("close", resolve));
  clearInterval(dripping);
  return answer;
}

const head = (line: string): string => `${line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;

describe("a connection", () => {
  test.concurrent.each([
    ["that sends nothing", "", ""],
    ["that sends its first line without end", "GET /", "a"],
    ["that sends a header without end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", "a"],
    ["that sends headers without end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n"],
    ["that sends a job without end", `${head("POST /v1/jobs")}Content-Length: 100000\r\n\r\n{`, " "],
    [
      "that sends a job in chunks without end",
      `${head("POST /v1/jobs")}Transfer-Encoding: chunked\r\n\r\n`,
      "1\r\n \r\n",
    ],
    ["that sends a blob without end", `${head("PUT /v1/blobs")}Content-Length: 100000\r\n\r\n`, "a"],
    ["that sends a blob and stops", `${head("PUT /v1/blobs")}Content-Length: 100000\r\n\r\n${"a".repeat(50_000)}`, ""],
  ])("%s is cut off", async (_, begun, byte) => {
    const answer = await drip(begun, byte);
    expect(answer).not.toContain("200 OK");
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  test.concurrent("that brings a blob slowly, but brings it, is let go on", async () => {
    const piece = Buffer.alloc(32 * 1024, "a");
    async function* content(): AsyncGenerator<Buffer> {
      for (let count = 0; count < 12; count++) {
        yield piece;
        await delay(3000);
      }
    }
    const response = await fetch(`http://127.0.0.1:${port}/v1/blobs`, {
      method: "PUT",
      body: ReadableStream.from(content()),
      duplex: "half",
    });
    expect([response.status, await response.json()]).toMatchObject([201, { bytes: 12 * piece.byteLength }]);
  });
});

describe("an answer", () => {
  test("that nobody reads is cut off, and one that somebody reads is not", async () => {
    const pieces = Array.from({ length: 512 }, () => Buffer.alloc(64 * 1024));
    const server = createServer((_, response) => void Readable.from(pieces).pipe(response)).listen(0, "127.0.0.1");
    limitUnread(server, { periodMs: 500 });
    await once(server, "listening");
    const address = server.address();
    const own = address !== null && typeof address === "object" ? address.port : 0;
    const socket = connect(own, "127.0.0.1").pause();
    socket.on("error", () => undefined).write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const [accepted] = (await once(server, "connection")) as [Socket];
    await new Promise((resolve) => void accepted.once("close", resolve));
    const response = await fetch(`http://127.0.0.1:${own}/`);
    let bytes = 0;
    for await (const piece of response.body ?? []) {
      bytes += piece.byteLength;
      // Slowly: it takes several looks.
      if (bytes % (8 * 64 * 1024) === 0) await delay(50);
    }
    expect(bytes).toBe(512 * 64 * 1024);
    socket.destroy();
    server.close();
  });

  test("that nobody reads is cut off at once where all of them take too much memory, the oldest first", async () => {
    const mebibyte = 1024 * 1024;
    const answer = Buffer.alloc(64 * mebibyte);
    const server = createServer((_, response) => void response.end(answer)).listen(0, "127.0.0.1");
    // Of each the kernel holds some megabytes: it has taken those.
    limitUnread(server, { bytesMax: 150 * mebibyte });
    await once(server, "listening");
    const address = server.address();
    const own = address !== null && typeof address === "object" ? address.port : 0;
    const sockets: Socket[] = [];
    const accepted: Socket[] = [];
    for (let count = 0; count < 4; count++) {
      const socket = connect(own, "127.0.0.1").pause();
      socket.on("error", () => undefined).write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      sockets.push(socket);
      const [connection] = (await once(server, "connection")) as [Socket];
      accepted.push(connection);
      await expect.poll(() => connection.writableLength > 0 || connection.destroyed).toBe(true);
    }
    await expect.poll(() => accepted.map(({ destroyed }) => destroyed)).toEqual([true, true, false, false]);
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});
