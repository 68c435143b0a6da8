/** The parts of the OCI image specification (v1.1) that the store writes and reads. */
import * as z from "zod";
import { type Digest, isDigest } from "./digest.ts";

export const MediaType = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  index: "application/vnd.oci.image.index.v1+json",
  /** Docker's names for the same documents (image manifest version 2, schema 2). */
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;

/** How the tar of a layer is compressed. */
export type Compression = "none" | "gzip" | "zstd";

/** The media types of layers that can be unpacked. */
const LAYER_TYPES: Readonly<Record<string, Compression>> = {
  "application/vnd.oci.image.layer.v1.tar": "none",
  "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
  // Deprecated by the specification, which still asks to read them: layers that may not be pushed elsewhere.
  "application/vnd.oci.image.layer.nondistributable.v1.tar": "none",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
  "application/vnd.docker.image.rootfs.diff.tar": "none",
  "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
  "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
};

/**
 * How a layer of this media type is compressed.
 * @throws when it is no type of a layer
 */
export function compressionOf(mediaType: string): Compression {
  const compression = Object.hasOwn(LAYER_TYPES, mediaType) ? LAYER_TYPES[mediaType] : undefined;
  if (compression === undefined) {
    throw new Error(`${JSON.stringify(mediaType)} is no media type of a layer: only tar, tar+gzip and tar+zstd are`);
  }
  return compression;
}

/** Names from the specification's list of annotations, and one of our own. */
export const Annotation = {
  baseName: "org.opencontainers.image.base.name",
  baseDigest: "org.opencontainers.image.base.digest",
  created: "org.opencontainers.image.created",
  /** Digest of the recipe that the image was built from: it tells whether a build is still up to date. */
  recipe: "org.longshore.image.recipe",
} as const;

/** Schema of a {@link Digest}. */
export const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "not a sha256 digest");

/** Schema of a {@link Descriptor}. */
export const descriptor = z.object({ mediaType: z.string(), digest, size: z.int().nonnegative() });

/** A reference to content by type, digest and size in bytes. */
export type Descriptor = z.infer<typeof descriptor>;

/** Image manifest. For a layer built here, the descriptor's digest is its diff id: the tar is not compressed. */
export const imageManifest = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.enum([MediaType.manifest, MediaType.dockerManifest]).optional(),
  config: descriptor,
  layers: z.array(descriptor),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type ImageManifest = z.infer<typeof imageManifest>;

/** Image configuration. Unknown properties are kept, as the specification asks. */
export const imageConfig = z.looseObject({
  created: z.string().optional(),
  architecture: z.string(),
  os: z.string(),
  config: z
    .looseObject({
      User: z.string().optional(),
      // Go writes null for a list that it has nothing for: docker import does so.
      Env: z.array(z.string()).nullish(),
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      WorkingDir: z.string().optional(),
    })
    .default({}),
  rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(digest) }),
  history: z
    .array(
      z.looseObject({
        created: z.string().optional(),
        created_by: z.string().optional(),
        empty_layer: z.boolean().optional(),
      }),
    )
    .optional(),
});
export type ImageConfig = z.infer<typeof imageConfig>;

/** `GOARCH` name of this machine's architecture, as image configurations spell it. */
export function hostArchitecture(): string {
  switch (process.arch) {
    case "x64":
      return "amd64";
    case "ia32":
      return "386";
    default:
      return process.arch;
  }
}

/**
 * Reads a document as what it should be.
 * @throws when it is no JSON, or does not have the form; the message says where
 */
export function parseDocument<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array): z.output<Schema> {
  const result = schema.safeParse(JSON.parse(Buffer.from(bytes).toString()));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "malformed"}`);
}
