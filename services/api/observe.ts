/** Logs and measures every request. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestHandler } from "express";
import { pinoHttp } from "pino-http";
import type { Logger } from "../../shared/log.ts";
import { traceStage } from "../../shared/trace.ts";
import type { ApiMetrics } from "./api-metrics.ts";
import { routeOf } from "./route.ts";

/** What is taken over from a client or proxy as the id of a request; anything else gets an id of ours. */
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** Gives a request its id and its logger, and logs one line when it was answered. */
export function logRequests(logger: Logger): RequestHandler {
  return pinoHttp({
    logger,
    genReqId(request, response) {
      const presented = request.headers["x-request-id"];
      const id = typeof presented === "string" && REQUEST_ID.test(presented) ? presented : randomUUID();
      response.setHeader("x-request-id", id);
      return id;
    },
    // Probes and scrapes come every few seconds and say nothing.
    autoLogging: { ignore: ({ url }) => url === "/healthz" || url === "/readyz" || url === "/metrics" },
    customLogLevel: (_request, response, error) =>
      error !== undefined || response.statusCode >= 500 ? "error" : "info",
    // Wrapped, they would be given copies of all that there is, every header of both sides included.
    wrapSerializers: false,
    serializers: {
      req: ({ id, method, url, socket }: IncomingMessage) => ({ id, method, url, remoteAddress: socket.remoteAddress }),
      res: ({ headersSent, statusCode }: ServerResponse) => ({ statusCode: headersSent ? statusCode : null }),
    },
  });
}

/** Measures how long each request took. */
export function measureRequests(metrics: ApiMetrics): RequestHandler {
  return (request, response, next) => {
    traceStage("received");
    const start = process.hrtime.bigint();
    response.once("close", () => {
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      // 499, as nginx has it, for clients that went before they had an answer
      const status = response.writableFinished ? response.statusCode : 499;
      metrics.observeRequest({ method: request.method, route: routeOf(response), status }, seconds);
    });
    next();
  };
}
