/** `/v1/languages`: the presets. */
import * as z from "zod";
import type { ApiContext } from "../context.ts";
import { jsonContent } from "../openapi-document.ts";
import type { Route } from "../route.ts";

const languageSchema = z
  .strictObject({
    language: z.string().meta({ examples: ["python"] }),
    image: z.string(),
    fileName: z.string().meta({ description: "where the source of a job is put" }),
    build: z.array(z.string()).nullable().meta({ description: "command that compiles; null when nothing is compiled" }),
    run: z.array(z.string()).meta({ description: "command that runs; a job's arguments are appended" }),
    available: z.boolean().meta({ description: "a live worker has the image" }),
  })
  .meta({ id: "Language" });

const languagesSchema = z.strictObject({ languages: z.array(languageSchema) });

export function languageRoutes({ presets, workers }: ApiContext): Route[] {
  return [
    {
      method: "get",
      path: "/v1/languages",
      operation: {
        summary: "List the languages",
        operationId: "listLanguages",
        tags: ["installation"],
        responses: { "200": { description: "presets by name", content: jsonContent(languagesSchema) } },
      },
      errors: ["redis_unavailable"],
      async handle(_request, response) {
        const live = await workers.list();
        const cached = new Set(live.flatMap(({ images }) => images.map(({ reference }) => reference)));
        const languages = [...presets.values()].map(({ language, image, fileName, build, run }) => ({
          language,
          image,
          fileName,
          build: build?.command ?? null,
          run,
          available: cached.has(image),
        }));
        response.json({ languages } satisfies z.infer<typeof languagesSchema>);
      },
    },
  ];
}
