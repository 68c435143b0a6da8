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

/** Remembers for every request which route it is meant for, before anything can refuse it. */
export function labelRoutes(app: Express, routes: readonly Route[]): void {
  for (const path of new Set(routes.map(({ path }) => path))) {
    app.all(toExpressPath(path), (_request, response, next) => {
      response.locals["route"] = path;
      next();
    });
  }
}

/**
 * Serves the routes, and answers 405 where a path is known and the method is not.
 * @param requireAdministrator lets nobody else through
 */
export function serveRoutes(app: Express, routes: readonly Route[], requireAdministrator: RequestHandler): void {
  for (const [path, sharing] of Map.groupBy(routes, ({ path }) => path)) {
    const expressPath = toExpressPath(path);
    for (const route of sharing) {
      const guards = route.access === "administrators" ? [requireAdministrator] : [];
      app[route.method](expressPath, ...guards, (request, response) => route.handle(request, response));
    }
    const allow = sharing.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]));
    app.all(expressPath, (_request, response) => {
      response.set("allow", allow.join(", "));
      throw new LongshoreError("method_not_allowed");
    });
  }
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
