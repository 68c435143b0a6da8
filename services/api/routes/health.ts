/** `/healthz`: the process is there. `/readyz`: jobs would be accepted and run. */
import * as z from "zod";
import { LongshoreError } from "../../../shared/errors.ts";
import { version } from "../../../shared/version.ts";
import type { ApiContext } from "../context.ts";
import { jsonContent } from "../openapi-document.ts";
import type { Route } from "../route.ts";

const healthSchema = z.strictObject({ status: z.literal("ok"), version: z.string() });
const readySchema = z.strictObject({ status: z.literal("ready"), workers: z.int() });

export function healthRoutes({ workers }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/healthz",
      operation: {
        summary: "Whether the process lives",
        operationId: "getHealth",
        tags: ["operation"],
        responses: { "200": { description: "it does", content: jsonContent(healthSchema) } },
      },
      errors: [],
      async handle(_request, response) {
        response.json({ status: "ok", version } satisfies z.infer<typeof healthSchema>);
      },
    },
    {
      method: "get",
      path: "/readyz",
      operation: {
        summary: "Whether jobs are accepted and run",
        operationId: "getReadiness",
        tags: ["operation"],
        responses: { "200": { description: "redis answers and a worker is alive", content: jsonContent(readySchema) } },
      },
      errors: ["redis_unavailable", "no_worker"],
      async handle(_request, response) {
        const live = await workers.list();
        if (live.length === 0) throw new LongshoreError("no_worker");
        response.json({ status: "ready", workers: live.length } satisfies z.infer<typeof readySchema>);
      },
    },
  ];
}
