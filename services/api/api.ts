/**
 * The HTTP front, as an Express application without a port.
 *
 *   request ─▶ id, log, duration ─▶ headers ─▶ route known? ─▶ key ─▶ rate ─▶ route ─▶ 405 / 404 ─▶ error
 *
 * The API holds no state: any number of them can serve one Redis. It may be stopped at any time; jobs that were
 * accepted go on without it.
 */
import express, { type Express } from "express";
import helmet from "helmet";
import type { Redis } from "ioredis";
import type { Blobs } from "../../shared/blobs/blobs.ts";
import { requireAdministrator, requireKey, requireLocalHost } from "./authenticate.ts";
import { createContext, type ApiOptions } from "./context.ts";
import { handleError, handleNotFound } from "./handle-error.ts";
import { limitLingering } from "./limit-lingering.ts";
import { limitRate } from "./limit-rate.ts";
import { limitSlowness } from "./limit-slowness.ts";
import { logRequests, measureRequests } from "./observe.ts";
import { serveRoutes, type Route } from "./route.ts";
import { createRoutes } from "./routes/index.ts";

export interface Api extends AsyncDisposable {
  /** The request handler, for `http.createServer`. */
  readonly app: Express;
  readonly routes: readonly Route[];
  readonly blobs: Blobs;
  /** The connection that the API works with; connects by itself. */
  readonly redis: Redis;
  /** Answers at once those who wait for a job, now and from here on. */
  stopWaiting(): void;
  /** Stops waiting and closes the connections. */
  close(): Promise<void>;
}

export function createApi(options: ApiOptions): Api {
  const context = createContext(options);
  const { blobs, config, logger, metrics, redis } = context;
  const routes = createRoutes(context);

  const app = express();
  // Strict, so that what middleware sees of a path is what the router makes of it.
  app.enable("case sensitive routing");
  app.enable("strict routing");
  app.disable("x-powered-by");
  app.disable("etag");

  app.use(logRequests(logger), measureRequests(metrics), limitLingering(), limitSlowness());
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] },
      },
      // Whoever puts TLS in front knows for how long.
      strictTransportSecurity: false,
    }),
  );
  app.use((_request, response, next) => {
    response.set("cache-control", "no-store");
    // A connection that is kept alive would keep a stopping process alive.
    if (context.closing.aborted) response.set("connection", "close");
    next();
  });
  const requireClient = config.apiKeys.length > 0 ? requireKey(config.apiKeys) : requireLocalHost();
  const clients = [requireClient, ...(config.rateLimit > 0 ? [limitRate(redis, config.queue, config.rateLimit)] : [])];
  serveRoutes(app, routes, { clients, administrators: requireAdministrator(config) });
  app.use(handleNotFound, handleError);

  const close = async (): Promise<void> => await context[Symbol.asyncDispose]();
  return { app, routes, blobs, redis, stopWaiting: context.stopWaiting, close, [Symbol.asyncDispose]: close };
}
