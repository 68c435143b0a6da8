/** `/v1/jobs/{id}/outputs/{path}`: a file that a job returned. */
import * as z from "zod";
import { LongshoreError } from "../../../shared/errors.ts";
import { jobIdSchema } from "../../../shared/job.ts";
import type { ApiContext } from "../context.ts";
import { parameterOf, restOf, type Route } from "../route.ts";
import { sendContent } from "../send-content.ts";

export function outputRoutes({ store }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/jobs/{id}/outputs/{path*}",
      operation: {
        summary: "Download a file that a job returned",
        operationId: "getOutput",
        tags: ["jobs"],
        requestParams: {
          path: z.object({
            id: jobIdSchema,
            path: z.string().meta({ description: "as it stands in the job's result; slashes need no encoding" }),
          }),
        },
        responses: {
          "200": {
            description: "the bytes of the file",
            content: { "application/octet-stream": { schema: z.string().meta({ override: { format: "binary" } }) } },
          },
        },
      },
      errors: ["job_not_found", "output_not_found", "redis_unavailable", "blobs_unavailable"],
      async handle(request, response) {
        const id = jobIdSchema.safeParse(parameterOf(request, "id"));
        if (!id.success) throw new LongshoreError("job_not_found");
        const path = restOf(request, "path");
        const output = await store.output(id.data.toLowerCase(), path);
        // Whatever a program wrote, a browser must never take it for a page of this server.
        response.attachment(path.split("/").at(-1)).type("application/octet-stream");
        response.set("x-content-type-options", "nosniff");
        await sendContent(request, response, output);
      },
    },
  ];
}
