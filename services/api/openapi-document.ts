/** The OpenAPI document, from the routes and the schemas that validate. */
import * as z from "zod";
import {
  createDocument,
  type ZodOpenApiContentObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from "zod-openapi";
import { errorCodes, errorTable, LongshoreError, type ErrorCode } from "../../shared/errors.ts";
import { version } from "../../shared/version.ts";
import { PROTECTED_PREFIX, type Route } from "./route.ts";

type Document = ReturnType<typeof createDocument>;

const errorSchema = z
  .strictObject({
    error: z.strictObject({
      code: z.enum(errorCodes),
      message: z.string(),
      details: z
        .array(z.strictObject({ path: z.string().meta({ examples: ["files[0].path"] }), message: z.string() }))
        .optional(),
    }),
  })
  .meta({ id: "Error" });

export function jsonContent(schema: z.ZodType): ZodOpenApiContentObject {
  return { "application/json": { schema } };
}

/** @param access `keys`: a key is required below /v1; `open`: none is */
export function createOpenApiDocument(routes: readonly Route[], access: "keys" | "open"): Document {
  const paths: ZodOpenApiPathsObject = {};
  for (const [path, sharing] of Map.groupBy(routes, (route) => route.path.replaceAll("*}", "}"))) {
    paths[path] = Object.fromEntries(sharing.map((route) => [route.method, describe(route, access)]));
  }
  return createDocument(
    {
      openapi: "3.1.0",
      info: {
        title: "Longshore",
        version,
        description: "Runs programs nobody has to trust: each in a container of its own, with strict limits.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      paths,
      tags: [
        { name: "jobs", description: "post, show and cancel jobs, download their files" },
        { name: "blobs", description: "contents that jobs use, put once and named by digest" },
        { name: "installation", description: "what this installation offers" },
        { name: "operation", description: "for those who run it" },
      ],
      components: {
        securitySchemes: { key: { type: "http", scheme: "bearer", description: "one of LONGSHORE_API_KEYS" } },
      },
    },
    {
      // OpenAPI wants the field that tells kinds of jobs apart to be required, and ours has a default.
      override: ({ jsonSchema }) => void delete jsonSchema["discriminator"],
    },
  );
}

function describe(route: Route, access: "keys" | "open"): Route["operation"] {
  const isProtected = access === "keys" && route.path.startsWith(PROTECTED_PREFIX);
  const guards: ErrorCode[] = route.path.startsWith(PROTECTED_PREFIX)
    ? [access === "keys" ? "unauthorized" : "forbidden_host", "rate_limited"]
    : [];
  if (access === "keys" && route.access === "administrators") guards.push("forbidden");
  return {
    ...route.operation,
    ...(isProtected ? { security: [{ key: [] }] } : {}),
    responses: { ...route.operation.responses, ...describeErrors([...guards, ...route.errors, "internal_error"]) },
  };
}

/** One response for each status, which names the codes that have it. */
function describeErrors(codes: readonly ErrorCode[]): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {};
  for (const [status, sharing] of Map.groupBy(codes, (code) => new LongshoreError(code).status)) {
    const description = [...new Set(sharing)].map((code) => `\`${code}\`: ${errorTable[code].message}`).join("\n\n");
    responses[`${status}` as keyof ZodOpenApiResponsesObject] = { description, content: jsonContent(errorSchema) };
  }
  return responses;
}
