/** `/metrics`, for Prometheus. */
import * as z from "zod";
import type { ApiContext } from "../context.ts";
import type { Route } from "../route.ts";

export function metricRoutes({ metrics }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/metrics",
      operation: {
        summary: "Metrics of this process and of the queue",
        operationId: "getMetrics",
        tags: ["operation"],
        responses: {
          "200": {
            description: "Prometheus's text format",
            content: { "text/plain": { schema: z.string() } },
          },
        },
      },
      errors: [],
      async handle(_request, response) {
        response.set("content-type", metrics.registry.contentType).send(await metrics.registry.metrics());
      },
    },
  ];
}
