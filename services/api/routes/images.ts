/** `/v1/images`: what the live workers have. */
import * as z from "zod";
import type { WorkerInfo } from "../../../shared/workers.ts";
import type { ApiContext } from "../context.ts";
import { jsonContent } from "../openapi-document.ts";
import type { Route } from "../route.ts";

const imageSchema = z
  .strictObject({
    reference: z.string(),
    digest: z.string(),
    layers: z.int(),
    bytes: z.int(),
    workers: z.array(z.string()).meta({ description: "ids of the workers that have it" }),
  })
  .meta({ id: "Image" });

const imagesSchema = z.strictObject({ images: z.array(imageSchema) });
type Image = z.infer<typeof imageSchema>;

export function imageRoutes({ workers }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/images",
      operation: {
        summary: "List the images",
        operationId: "listImages",
        tags: ["installation"],
        responses: { "200": { description: "images by reference and digest", content: jsonContent(imagesSchema) } },
      },
      errors: ["redis_unavailable"],
      async handle(_request, response) {
        response.json({ images: collectImages(await workers.list()) } satisfies z.infer<typeof imagesSchema>);
      },
    },
  ];
}

/** One entry for each digest that a reference means anywhere: workers may hold different builds of it. */
function collectImages(workers: readonly WorkerInfo[]): Image[] {
  const images = new Map<string, Image>();
  for (const worker of workers) {
    for (const image of worker.images) {
      const key = `${image.reference}@${image.digest}`;
      const known = images.get(key) ?? { ...image, workers: [] };
      images.set(key, { ...known, workers: [...known.workers, worker.id] });
    }
  }
  return [...images].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, image]) => image);
}
