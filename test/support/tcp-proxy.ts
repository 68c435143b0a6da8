import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What becomes of new connections: they work, are taken and never answered, or are closed at once. */
export type Reception = "serve" | "ignore" | "refuse";

/** A TCP proxy on loopback whose connections can fall silent, as those of a host that lost its power do. */
export class TcpProxy implements AsyncDisposable {
  readonly port: number;
  /** What becomes of new connections from now on. */
  reception: Reception = "serve";
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(server: Server, port: number, targetPort: number) {
    this.#server = server;
    this.port = port;
    this.#targetPort = targetPort;
    server.on("connection", (client) => this.#receive(client));
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address !== "object") throw new Error("the proxy has no port");
    return new TcpProxy(server, address.port, targetPort);
  }

  /** Connections that were ever made to it. */
  get connections(): number {
    return this.#connections;
  }

  /** Lets nothing through the connections there are, without closing them. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Closes the connections there are. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #receive(client: Socket): void {
    this.#connections += 1;
    this.#keep(client);
    switch (this.reception) {
      case "serve": {
        const target = connect(this.#targetPort, "127.0.0.1");
        this.#keep(target);
        client.pipe(target).pipe(client);
        // When one side is gone without a farewell, so is the other.
        client.on("close", () => target.destroy());
        target.on("close", () => client.destroy());
        return;
      }
      case "ignore":
        client.pause();
        return;
      case "refuse":
        client.destroy();
        return;
      default:
        this.reception satisfies never;
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
