/** `/openapi.json`: made of the schemas that validate. */
import * as z from "zod";
import type { ApiContext } from "../context.ts";
import { createOpenApiDocument, jsonContent } from "../openapi-document.ts";
import type { Route } from "../route.ts";

/** @param others every other route of the API */
export function openApiRoutes({ config }: ApiContext, others: readonly Route[]): Route[] {
  const route: Route = {
    method: "get",
    path: "/openapi.json",
    operation: {
      summary: "This description",
      operationId: "getOpenApi",
      tags: ["operation"],
      responses: { "200": { description: "OpenAPI 3.1", content: jsonContent(z.looseObject({})) } },
    },
    errors: [],
    async handle(_request, response) {
      response.json(document);
    },
  };
  const document = createOpenApiDocument([...others, route], config.apiKeys.length > 0 ? "keys" : "open");
  return [route];
}
