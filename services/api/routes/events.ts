/** `/v1/jobs/{id}/events`: what happens in a job, while it happens. */
import type { Request } from "express";
import * as z from "zod";
import type { ZodOpenApiContentObject } from "zod-openapi";
import { LongshoreError } from "../../../shared/errors.ts";
import { jobIdSchema } from "../../../shared/job.ts";
import type { ApiContext } from "../context.ts";
import { BEGINNING, parsePosition, type Position, positionSchema } from "../events/position.ts";
import { sendEvents } from "../events/send-events.ts";
import { eventDataSchema, eventsDescription } from "../events/watched-event.ts";
import { parameterOf, type Route } from "../route.ts";

/** An answer that is a stream of events, in the OpenAPI document. */
export const eventsContent: ZodOpenApiContentObject = {
  "text/event-stream": {
    schema: eventDataSchema,
    example: 'id: r1-1-3-0\nevent: stdout\ndata: {"offset":0,"content":"42\\n","encoding":"utf8"}\n\n',
  },
};

export function eventRoutes(context: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/jobs/{id}/events",
      operation: {
        summary: "Watch a job",
        description: eventsDescription,
        operationId: "watchJob",
        tags: ["jobs"],
        requestParams: {
          path: z.object({ id: jobIdSchema }),
          header: z.object({ "last-event-id": positionSchema.optional() }),
        },
        responses: {
          "200": { description: "what happened so far and what happens, until the result", content: eventsContent },
          "204": { description: "the last event was the result: there is nothing more to come" },
        },
      },
      errors: ["invalid_request", "job_not_found", "redis_unavailable"],
      async handle(request, response) {
        const from = readPosition(request);
        const id = jobIdSchema.safeParse(parameterOf(request, "id"));
        if (!id.success) throw new LongshoreError("job_not_found");
        const job = { id: id.data.toLowerCase(), from };
        if ((await context.events.standing(job.id)) === undefined) throw new LongshoreError("job_not_found");
        if (from.told === "result") {
          // There is nothing more to be told, and a browser that is told so does not ask again.
          response.status(204).end();
        } else if (request.method === "HEAD") {
          response.type("text/event-stream").end();
        } else {
          await sendEvents(context, response, job);
        }
      },
    },
  ];
}

function readPosition(request: Request): Position {
  const text = request.headers["last-event-id"];
  if (text === undefined || text === "") return BEGINNING;
  const position = typeof text === "string" ? parsePosition(text) : undefined;
  if (position !== undefined) return position;
  const details = [{ path: "last-event-id", message: "is not the id of an event of a job" }];
  throw new LongshoreError("invalid_request", { details });
}
