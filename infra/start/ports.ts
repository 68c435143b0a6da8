import { once } from "node:events";
import { createServer } from "node:net";

/** A TCP port of loopback that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  return listenOnce("127.0.0.1", 0);
}

/**
 * Throws when the API could not listen, before anything is started for it. Whoever asks the address whether the API is
 * ready would otherwise be answered by the one that has it.
 */
export async function requireFreePort(host: string, port: number): Promise<void> {
  try {
    await listenOnce(host, port);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    throw new Error(`port ${port} is taken: stop what listens there, or set LONGSHORE_PORT`, { cause: error });
  }
}

async function listenOnce(host: string, port: number): Promise<number> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
  return address.port;
}
