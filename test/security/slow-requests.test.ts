/** Requests that never come to their end, at an API as operators run it. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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

describe("a connection", () => {
  test.concurrent.each([
    ["that sends nothing", "", ""],
    ["that sends its first line without end", "GET /", "a"],
    ["that sends a header without end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", "a"],
    ["that sends headers without end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n"],
  ])("%s is cut off", async (_, begun, byte) => {
    const answer = await drip(begun, byte);
    expect(answer).not.toContain("200 OK");
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });
});
