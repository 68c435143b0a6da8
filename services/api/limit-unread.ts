import type { Server } from "node:http";
import type { Socket } from "node:net";

/** For how long nothing of an answer may be taken, in milliseconds: what is one piece, of 50 MB at the most, is out by then. */
const PERIOD_MS = 300_000;

/**
 * Cuts off who does not read an answer: until it is out it is in memory here, or holds a file. One look at each connection
 * now and then, since requests have better things to do than to set timers.
 */
export function limitUnread(server: Server, periodMs: number = PERIOD_MS): void {
  const sent = new Map<Socket, number>();
  server.on("connection", (socket) => {
    sent.set(socket, 0);
    socket.once("close", () => sent.delete(socket));
  });
  setInterval(() => {
    for (const [socket, before] of sent) {
      if (socket.writableLength > 0 && socket.bytesWritten === before) socket.destroy();
      sent.set(socket, socket.bytesWritten);
    }
  }, periodMs).unref();
}
