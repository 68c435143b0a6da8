/** `/v1/workers`: who is alive. */
import * as z from "zod";
import { workerSchema } from "../../../shared/workers.ts";
import type { ApiContext } from "../context.ts";
import { jsonContent } from "../openapi-document.ts";
import type { Route } from "../route.ts";

const workersSchema = z.strictObject({ workers: z.array(workerSchema) });

export function workerRoutes({ workers }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/workers",
      operation: {
        summary: "List the live workers",
        operationId: "listWorkers",
        tags: ["installation"],
        responses: { "200": { description: "workers by id", content: jsonContent(workersSchema) } },
      },
      errors: ["redis_unavailable"],
      async handle(_request, response) {
        response.json({ workers: await workers.list() } satisfies z.infer<typeof workersSchema>);
      },
    },
  ];
}
