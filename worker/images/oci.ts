/** The parts of the OCI image specification (v1.1) that the store writes and reads. */
import * as z from "zod";
import { type Digest, isDigest } from "./digest.ts";

export const MediaType = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

/** Names from the specification's list of annotations, and one of our own. */
export const Annotation = {
  baseName: "org.opencontainers.image.base.name",
  baseDigest: "org.opencontainers.image.base.digest",
  created: "org.opencontainers.image.created",
  /** Digest of the recipe that the image was built from: it tells whether a build is still up to date. */
  recipe: "org.longshore.image.recipe",
} as const;

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "not a sha256 digest");

const descriptor = z.object({ mediaType: z.string(), digest, size: z.int().nonnegative() });

/** A reference to content by type, digest and size in bytes. */
export type Descriptor = z.infer<typeof descriptor>;

/** Image manifest. For a layer built here, the descriptor's digest is its diff id: the tar is not compressed. */
export const imageManifest = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MediaType.manifest).optional(),
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
      Env: z.array(z.string()).optional(),
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
