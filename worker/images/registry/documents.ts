/** Manifests and indexes as registries serve them: OCI image specification v1.1, Docker image manifest V2, schema 2. */
import * as z from "zod";
import { type Digest, isDigest } from "../digest.ts";
import { MediaType } from "../oci.ts";
import { LAYERS_MAX } from "../unpack/limits.ts";
import { quote, RegistryError } from "./registry-error.ts";

/** Media types of documents that stand for one image, and for images of several platforms. */
const IMAGE_TYPES = [MediaType.manifest, MediaType.dockerManifest] as const;
const INDEX_TYPES = [MediaType.index, MediaType.dockerManifestList] as const;
const CONFIG_TYPES: ReadonlySet<string> = new Set([MediaType.config, MediaType.dockerConfig]);

/** `Accept` for manifests: without it, registries fall back to Docker's schema 1. */
export const ACCEPTED = [...IMAGE_TYPES, ...INDEX_TYPES].join(", ");

/** Largest manifest, index or configuration, in bytes: what registries have to take at least (specification). */
export const LARGEST_DOCUMENT = 4 * 1024 * 1024;

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "is not a sha256 digest");
const descriptor = z.looseObject({ mediaType: z.string(), digest, size: z.int().nonnegative() });
const layer = descriptor.extend({ urls: z.array(z.string()).optional() });
const optionalText = z.string().optional();

const image = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.enum(IMAGE_TYPES).optional(),
  config: descriptor,
  layers: z.array(layer).max(LAYERS_MAX),
});
const index = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.enum(INDEX_TYPES).optional(),
  manifests: z.array(
    descriptor.extend({
      platform: z.looseObject({ os: z.string(), architecture: z.string(), variant: optionalText }).optional(),
    }),
  ),
});

/** Content by type, digest and size in bytes. */
export type Descriptor = z.infer<typeof descriptor>;

/** What a manifest's bytes say. */
export type RegistryDocument =
  | { readonly kind: "image"; readonly mediaType: string; readonly manifest: z.infer<typeof image> }
  | { readonly kind: "index"; readonly mediaType: string; readonly index: z.infer<typeof index> };

/**
 * Reads a manifest or an index.
 * @param what names it in messages
 * @param contentType header of the answer that brought it; decides nothing that the document says itself
 * @throws {RegistryError} when it is neither, or an image that we do not take
 */
export function readDocument(text: string, contentType: string | null, what: string): RegistryDocument {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RegistryError(`${what}: is not JSON`, { cause: error });
  }
  const { mediaType, schemaVersion, manifests, layers } = probe.parse(value);
  const type = mediaType ?? contentType?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (schemaVersion === 1 || type.startsWith("application/vnd.docker.distribution.manifest.v1+"))
    throw new RegistryError(
      `${what}: is of Docker's schema 1, obsolete since 2017: push the image again with a newer tool`,
    );
  // Read by one tool as an index and by another as an image: CVE-2021-41190.
  if (manifests !== undefined && layers !== undefined)
    throw new RegistryError(`${what}: is ambiguous, it has both manifests and layers`);

  if (isOneOf(INDEX_TYPES, type) || manifests !== undefined)
    return {
      kind: "index",
      mediaType: isOneOf(INDEX_TYPES, type) ? type : INDEX_TYPES[0],
      index: check(index, value, what),
    };
  if (!isOneOf(IMAGE_TYPES, type) && layers === undefined)
    throw new RegistryError(`${what}: has the unknown media type ${quote(type)}`);
  const manifest = check(image, value, what);
  if (!CONFIG_TYPES.has(manifest.config.mediaType))
    throw new RegistryError(`${what}: is no image, its configuration is of type ${quote(manifest.config.mediaType)}`);
  const foreign = manifest.layers.find(({ urls }) => urls !== undefined && urls.length > 0);
  if (foreign !== undefined)
    throw new RegistryError(
      `${what}: layer ${foreign.digest} is kept elsewhere than in the registry, which is not supported`,
    );
  return { kind: "image", mediaType: isOneOf(IMAGE_TYPES, type) ? type : IMAGE_TYPES[0], manifest };
}

/** What tells the kinds of documents apart; anything can be read as this, if only as nothing. */
const probe = z
  .looseObject({
    mediaType: optionalText.catch(undefined),
    schemaVersion: z.number().optional().catch(undefined),
    manifests: z.unknown().optional(),
    layers: z.unknown().optional(),
  })
  .catch({});

function check<Output>(schema: z.ZodType<Output>, value: unknown, what: string): Output {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new RegistryError(`${what}: is malformed: ${quote(`${issue?.path.join(".")}: ${issue?.message}`)}`);
}

function isOneOf<Type extends string>(types: readonly Type[], type: string): type is Type {
  return (types as readonly string[]).includes(type);
}
