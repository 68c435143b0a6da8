/** `/v1/jobs/{id}/report.xml`: the merged report of a job of kind `shard`. */
import * as z from "zod";
import { LongshoreError } from "../../../shared/errors.ts";
import { isFinished, jobIdSchema } from "../../../shared/job.ts";
import { REPORT_PATH } from "../../../shared/shard-request.ts";
import type { ApiContext } from "../context.ts";
import { parameterOf, type Route } from "../route.ts";
import { sendContent } from "../send-content.ts";

export function reportRoutes({ store }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/jobs/{id}/report.xml",
      operation: {
        summary: "Download the merged report of a sharded suite",
        description: "JUnit's XML, as CI systems read it: each test once, whichever shards ran it, and however often.",
        operationId: "getReport",
        tags: ["jobs"],
        requestParams: { path: z.object({ id: jobIdSchema }) },
        responses: {
          "200": { description: "the report", content: { "application/xml": { schema: z.string() } } },
        },
      },
      errors: ["job_not_found", "report_not_found", "report_not_ready", "redis_unavailable", "blobs_unavailable"],
      async handle(request, response) {
        const id = jobIdSchema.safeParse(parameterOf(request, "id"));
        if (!id.success) throw new LongshoreError("job_not_found");
        const job = await store.get(id.data.toLowerCase());
        if (job === undefined) throw new LongshoreError("job_not_found");
        if (job.kind !== "shard") throw new LongshoreError("report_not_found");
        if (!isFinished(job)) throw new LongshoreError("report_not_ready");
        if (job.result === null || job.result.report === null) {
          const message = `no shard of the job has run: it is ${job.result?.outcome ?? job.state}`;
          throw new LongshoreError("report_not_found", { message });
        }
        if ("error" in job.result.report) {
          throw new LongshoreError("report_not_found", { message: `the report ${job.result.report.error}` });
        }
        const report = await store.output(job.id, REPORT_PATH);
        // What tests print is in it: a browser must not take it for a page of this server.
        response.attachment(REPORT_PATH).type("application/xml");
        response.set("x-content-type-options", "nosniff");
        await sendContent(request, response, report);
      },
    },
  ];
}
