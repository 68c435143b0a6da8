import { once } from "node:events";
import { createServer } from "node:http";
import type { WorkerMetrics } from "./metrics.ts";

/** The worker's own HTTP server: `/metrics` for Prometheus, `/healthz` for whoever watches the process. */
export class MetricsServer implements AsyncDisposable {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>, port: number) {
    this.#server = server;
    this.port = port;
  }

  /**
   * @param port 0 for any that is free
   * @throws when the address cannot be listened on; the message names the variables that set it
   */
  static async open(metrics: WorkerMetrics, host: string, port: number): Promise<MetricsServer> {
    const server = createServer((request, response) => {
      switch (request.url) {
        case "/healthz":
          response.setHeader("content-type", "application/json").end('{"status":"ok"}\n');
          return;
        case "/metrics":
          metrics.render().then(
            (text) => response.setHeader("content-type", metrics.registry.contentType).end(text),
            (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
          );
          return;
        default:
          response.writeHead(404).end("see /metrics and /healthz\n");
      }
    });
    server.listen(port, host);
    try {
      await once(server, "listening");
    } catch (error) {
      const wayOut = "set LONGSHORE_METRICS_HOST and LONGSHORE_METRICS_PORT";
      throw new Error(`cannot serve metrics on ${host}, port ${port}: ${String(error)}: ${wayOut}`, { cause: error });
    }
    const address = server.address();
    return new MetricsServer(server, typeof address === "object" && address !== null ? address.port : port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
