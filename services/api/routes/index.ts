/** Every route of the API. */
import type { ApiContext } from "../context.ts";
import type { Route } from "../route.ts";
import { blobRoutes } from "./blobs.ts";
import { docsRoutes } from "./docs.ts";
import { eventRoutes } from "./events.ts";
import { healthRoutes } from "./health.ts";
import { imageRoutes } from "./images.ts";
import { jobRoutes } from "./jobs.ts";
import { languageRoutes } from "./languages.ts";
import { metricRoutes } from "./metrics.ts";
import { openApiRoutes } from "./openapi.ts";
import { outputRoutes } from "./outputs.ts";
import { reportRoutes } from "./reports.ts";
import { storedBlobRoutes } from "./stored-blobs.ts";
import { workerRoutes } from "./workers.ts";

export function createRoutes(context: ApiContext): Route[] {
  const routes = [
    ...jobRoutes(context),
    ...eventRoutes(context),
    ...outputRoutes(context),
    ...reportRoutes(context),
    ...blobRoutes(context),
    ...storedBlobRoutes(context),
    ...languageRoutes(context),
    ...imageRoutes(context),
    ...workerRoutes(context),
    ...healthRoutes(context),
    ...metricRoutes(context),
    ...docsRoutes(),
  ];
  return [...routes, ...openApiRoutes(context, routes)];
}
