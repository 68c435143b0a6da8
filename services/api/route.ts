/**
 * A route is declared once: the same entry is served, documented, measured and checked for its methods.
 */
import type { Express, Request, RequestHandler, Response } from "express";
import type { ZodOpenApiOperationObject } from "zod-openapi";
import { LongshoreError, type ErrorCode } from "../../shared/errors.ts";

export const methods = ["get", "put", "post", "delete"] as const;
export type Method = (typeof methods)[number];

export interface Route {
  readonly method: Method;
  /** As OpenAPI writes it; `{path*}` at the end takes all that follows, slashes included. */
  readonly path: string;
  /** What the OpenAPI document says, but for the errors. */
  readonly operation: ZodOpenApiOperationObject;
  /** Who may use it, of those who may use the API at all; everyone unless stated. */
  readonly access?: "administrators";
  /** Errors that this route has beyond those that every one has. */
  readonly errors: readonly ErrorCode[];
  handle(request: Request, response: Response): Promise<void>;
}

/** Paths below this need a key when keys are set. */
export const PROTECTED_PREFIX = "/v1/";

/** The path of a request's route as it was declared, for metrics; a client cannot invent one. */
export function routeOf(response: Response): string {
  const { route } = response.locals as { readonly route?: unknown };
  return typeof route === "string" ? route : "none";
}

/** Who stands before routes, and lets through who may pass. */
export interface Guards {
  /** Before every path that is protected, whatever the method; in this order. */
  readonly clients: readonly RequestHandler[];
  /** Before the routes that only administrators may use. */
  readonly administrators: RequestHandler;
}

/**
 * Serves the routes, and answers 405 where a path is known and the method is not. Of what is below the protected prefix
 * and no route of ours, strangers learn no more than that they are strangers.
 */
export function serveRoutes(app: Express, routes: readonly Route[], guards: Guards): void {
  for (const [path, sharing] of Map.groupBy(routes, ({ path }) => path)) {
    // One for each path: what comes is compared with paths until the first one that fits.
    const served = app.route(toExpressPath(path));
    // Before anything can refuse it.
    served.all((_request, response, next) => {
      response.locals["route"] = path;
      next();
    });
    if (path.startsWith(PROTECTED_PREFIX)) served.all(...guards.clients);
    for (const route of sharing) {
      if (route.access === "administrators") served[route.method](guards.administrators);
      served[route.method]((request, response) => route.handle(request, response));
    }
    const allow = sharing.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]));
    served.all((_request, response) => {
      response.set("allow", allow.join(", "));
      throw new LongshoreError("method_not_allowed");
    });
  }
  app.use(PROTECTED_PREFIX, ...guards.clients);
}

/** A parameter of the path that stands for one component. */
export function parameterOf(request: Request, name: string): string {
  const value: unknown = request.params[name];
  if (typeof value !== "string") throw new Error(`the route has no parameter ${name}`);
  return value;
}

/** The parameter that takes the rest of the path. */
export function restOf(request: Request, name: string): string {
  const value: unknown = request.params[name];
  if (!Array.isArray(value)) throw new Error(`the route has no parameter ${name}*`);
  return value.join("/");
}

function toExpressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\*\}/g, "*$1").replaceAll(/\{(\w+)\}/g, ":$1");
}
