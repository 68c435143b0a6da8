/**
 * `/v1/images`: what the live workers have, and what they shall have.
 *
 * A reference has slashes and colons. It stands at the end of the path as it is, so nothing can come below it: what is
 * done with an image is said by the method, and a pull, whose image is not there yet, has its reference in the body.
 */
import type { Request, Response } from "express";
import * as z from "zod";
import { isDigest } from "../../../shared/digest.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import { imageDescriptionSchema } from "../../../shared/image-catalog.ts";
import type { ImageOrder } from "../../../shared/image-orders.ts";
import { formatReference, namesOf, parseReference, ReferenceError } from "../../../shared/image-reference.ts";
import { issuesToDetails } from "../../../shared/validation.ts";
import type { WorkerInfo } from "../../../shared/workers.ts";
import { isAdministrator } from "../authenticate.ts";
import type { ApiContext } from "../context.ts";
import { giveImageOrder, imageOrderSchema, isSettled } from "../image-orders.ts";
import { jsonContent } from "../openapi-document.ts";
import { createJsonReader } from "../read-json.ts";
import { restOf, type Route } from "../route.ts";
import { parseWait, waitQuerySchema } from "../wait.ts";

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

const describedImageSchema = imageSchema
  .extend({ description: imageDescriptionSchema.nullable().meta({ description: "null when no worker has told it" }) })
  .meta({ id: "DescribedImage" });

const describedImagesSchema = z.strictObject({ images: z.array(describedImageSchema) });
type DescribedImage = z.infer<typeof describedImageSchema>;

const pullSchema = z
  .strictObject({
    reference: z
      .string()
      .max(512)
      .meta({ description: "name of an image in a registry", examples: ["python:3.13-slim", "ghcr.io/owner/name:1"] }),
  })
  .meta({ id: "ImagePull" });

const pathParameters = z.object({
  reference: z.string().meta({
    description: "a name as it is listed, a short name, or a digest; slashes and colons need no encoding",
    examples: ["docker.io/library/python:3.13-slim", "python"],
  }),
});

const orderContent = jsonContent(imageOrderSchema);
const orderResponses = {
  "200": { description: "every worker has answered, at least one of them that it is done", content: orderContent },
  "202": { description: "workers are at it: repeat the request to wait for them", content: orderContent },
};

export function imageRoutes(context: ApiContext): Route[] {
  return [listImages(context), pullImage(context), describeImage(context), removeImage(context)];
}

function listImages({ workers }: ApiContext): Route {
  return {
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
  };
}

function pullImage(context: ApiContext): Route {
  const readJson = createJsonReader(context.config.bodyBytes);
  return {
    method: "post",
    path: "/v1/images",
    access: "administrators",
    operation: {
      summary: "Pull an image",
      description:
        "Has every live worker pull an image from its registry, whatever LONGSHORE_PULL says. With wait, the answer " +
        "comes when all have done it or the time is up. Repeated, it pulls nothing twice.",
      operationId: "pullImage",
      tags: ["installation"],
      requestParams: { query: waitQuerySchema },
      requestBody: { required: true, content: jsonContent(pullSchema) },
      responses: orderResponses,
    },
    errors: [
      "invalid_request",
      "invalid_json",
      "image_not_found",
      "pull_forbidden",
      "image_unusable",
      "registry_unreachable",
      "body_too_large",
      "unsupported_media_type",
      "redis_unavailable",
      "no_worker",
    ],
    async handle(request, response) {
      const seconds = parseWait(request.query);
      const reference = readReference(await readJson(request, response));
      response.location(`/v1/images/${reference}`);
      await sendOrder(context, response, { action: "pull", reference }, seconds);
    },
  };
}

function describeImage({ workers, imageCatalog, config }: ApiContext): Route {
  return {
    method: "get",
    path: "/v1/images/{reference*}",
    operation: {
      summary: "Describe an image",
      description:
        "Layers, configuration, and who has it; several where workers have different images of one name. The " +
        "configuration, whose environment may hold what is not for everyone, is shown to administrators only.",
      operationId: "getImage",
      tags: ["installation"],
      requestParams: { path: pathParameters },
      responses: { "200": { description: "the image", content: jsonContent(describedImagesSchema) } },
    },
    errors: ["image_not_found", "redis_unavailable"],
    async handle(request, response) {
      const { images } = findImages(await workers.list(), request);
      const isShown = isAdministrator(request, config);
      const describe = async (image: Image): Promise<DescribedImage> => {
        const description = (await imageCatalog.find(image.digest)) ?? null;
        return { ...image, description: description && { ...description, ...(!isShown && { config: null }) } };
      };
      const described = await Promise.all(images.map(describe));
      response.json({ images: described } satisfies z.infer<typeof describedImagesSchema>);
    },
  };
}

function removeImage(context: ApiContext): Route {
  return {
    method: "delete",
    path: "/v1/images/{reference*}",
    access: "administrators",
    operation: {
      summary: "Remove an image",
      description:
        "Takes a name from its image on every live worker, or by digest all of its names. What only it needed goes " +
        "with it, as soon as no container uses it. With wait, the answer comes when all have done it or the time is up.",
      operationId: "deleteImage",
      tags: ["installation"],
      requestParams: { path: pathParameters, query: waitQuerySchema },
      responses: orderResponses,
    },
    errors: ["invalid_request", "image_not_found", "redis_unavailable", "no_worker"],
    async handle(request, response) {
      const seconds = parseWait(request.query);
      const { name } = findImages(await context.workers.list(), request);
      await sendOrder(context, response, { action: "remove", reference: name }, seconds);
    },
  };
}

async function sendOrder(
  context: ApiContext,
  response: Response,
  order: ImageOrder,
  seconds: number | undefined,
): Promise<void> {
  const given = await giveImageOrder(context, response, order, seconds);
  // The client has gone while it waited.
  if (response.destroyed) return;
  if (context.closing.aborted) response.set("connection", "close");
  response.status(isSettled(given.workers) ? 200 : 202).json(given satisfies z.infer<typeof imageOrderSchema>);
}

/** @returns the whole name of what is to be pulled. @throws `invalid_request` */
function readReference(body: unknown): string {
  const parsed = pullSchema.safeParse(body);
  if (!parsed.success) throw new LongshoreError("invalid_request", { details: issuesToDetails(parsed.error.issues) });
  const { reference } = parsed.data;
  const fault = (message: string): LongshoreError =>
    new LongshoreError("invalid_request", { details: [{ path: "reference", message }] });
  if (isDigest(reference)) throw fault("is a digest, which does not say where the image is: use registry/name@digest");
  try {
    return formatReference(parseReference(reference));
  } catch (error) {
    throw error instanceof ReferenceError ? fault(error.message) : error;
  }
}

/**
 * The images that the path names: those of the first of its possible names that any worker has.
 * @throws `image_not_found`
 */
function findImages(
  workers: readonly WorkerInfo[],
  request: Request,
): { readonly name: string; readonly images: Image[] } {
  const text = restOf(request, "reference");
  for (const name of namesOf(text)) {
    const images = collectImages(workers).filter(({ reference, digest }) => reference === name || digest === name);
    if (images.length > 0) return { name, images };
  }
  throw new LongshoreError("image_not_found", { message: "no live worker has this image" });
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
