import type { Server } from "node:http";
import type { Socket } from "node:net";

/** For how long nothing of an answer may be taken, in milliseconds: what is one piece, of 34 MB under the default limits, is out by then. */
const PERIOD_MS = 300_000;

/** What answers may have in memory all together that nobody has taken yet, in bytes: some thirty of the largest. */
const BYTES_MAX = 1024 ** 3;

/** How often that is looked at, in milliseconds: no more than a few of the largest answers are made meanwhile. */
const LOOK_MS = 1000;

export interface UnreadLimits {
  readonly periodMs?: number;
  readonly bytesMax?: number;
}

/**
 * Cuts off who does not read an answer: until it is out it is in memory here, or holds a file. And where all those answers
 * take too much, whoever has left one lying for longest, however long that is: memory would be full within the period.
 * One look at each connection now and then, since requests have better things to do than to set timers.
 */
export function limitUnread(server: Server, { periodMs = PERIOD_MS, bytesMax = BYTES_MAX }: UnreadLimits = {}): void {
  const sent = new Map<Socket, number>();
  /** Those that have something to take, since longest ago first. */
  const unread = new Set<Socket>();
  server.on("connection", (socket) => {
    sent.set(socket, 0);
    socket.once("close", () => {
      sent.delete(socket);
      unread.delete(socket);
    });
  });
  setInterval(() => {
    for (const [socket, before] of sent) {
      if (socket.writableLength > 0 && socket.bytesWritten === before) socket.destroy();
      sent.set(socket, socket.bytesWritten);
    }
  }, periodMs).unref();
  setInterval(() => {
    let bytes = 0;
    for (const socket of sent.keys()) {
      if (socket.writableLength > 0) unread.add(socket);
      else unread.delete(socket);
      bytes += socket.writableLength;
    }
    for (const socket of unread) {
      if (bytes <= bytesMax) break;
      bytes -= socket.writableLength;
      socket.destroy();
    }
  }, LOOK_MS).unref();
}
