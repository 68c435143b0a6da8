/** From a reference to the manifest of one image: an index is followed to the image for our platform. */
import { digestOf, type Digest } from "../digest.ts";
import type { RegistryClient } from "./client.ts";
import { ACCEPTED, LARGEST_DOCUMENT, readDocument, type RegistryDocument } from "./documents.ts";
import { choosePlatform, formatPlatform, type Platform } from "./platform.ts";
import { formatReference, type Reference } from "../../../shared/image-reference.ts";
import { quote, RegistryError } from "./registry-error.ts";

/** A manifest, verified, with the bytes that its digest is of. */
export interface FetchedManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly manifest: (RegistryDocument & { readonly kind: "image" })["manifest"];
}

/** An index may name indexes; so many levels are followed. */
const DEEPEST_INDEX = 3;

/**
 * Fetches the manifest that `reference` names for `platform`.
 * @param client of the reference's registry, or of a mirror
 * @throws {RegistryError} when there is none, or it is not what its digest says
 */
export async function fetchManifest(
  client: RegistryClient,
  reference: Reference,
  platform: Platform,
): Promise<FetchedManifest> {
  let name = reference;
  let size: number | undefined;
  for (let depth = 0; depth <= DEEPEST_INDEX; depth += 1) {
    const what = `manifest of ${formatReference(name)}`;
    const { bytes, contentType } = await fetchDocument(client, name, what, size ?? LARGEST_DOCUMENT);
    const digest = digestOf(bytes);
    if (name.digest !== undefined && digest !== name.digest)
      throw new RegistryError(
        `${what}: what came has the digest ${digest}: the registry or a cache before it is damaged`,
      );
    const document = readDocument(bytes.toString(), contentType, what);
    if (document.kind === "image") return { digest, mediaType: document.mediaType, bytes, manifest: document.manifest };

    const chosen = choosePlatform(document.index.manifests, platform);
    if (chosen === undefined) throw new RegistryError(`${what}: ${noneFor(platform, document)}`);
    name = { ...reference, tag: undefined, digest: chosen.digest };
    if (chosen.size > LARGEST_DOCUMENT) throw new RegistryError(`${what}: names a manifest of ${chosen.size} bytes`);
    size = chosen.size;
  }
  throw new RegistryError(
    `manifest of ${formatReference(reference)}: its indexes are nested more than ${DEEPEST_INDEX} deep`,
  );
}

function noneFor(platform: Platform, { index }: RegistryDocument & { readonly kind: "index" }): string {
  const offered = index.manifests
    .flatMap((entry) => (entry.platform ? [formatPlatform(entry.platform)] : []))
    // Attestations of buildkit.
    .filter((name) => name !== "unknown/unknown");
  return `there is no image for ${formatPlatform(platform)}, only for ${quote([...new Set(offered)].join(", "))}: see LONGSHORE_PLATFORM`;
}

async function fetchDocument(client: RegistryClient, reference: Reference, what: string, limit: number) {
  const { repository, digest, tag } = reference;
  const request = {
    what,
    method: "GET",
    url: client.endpoint.url(`/v2/${repository}/manifests/${digest ?? tag ?? "latest"}`),
    headers: { accept: ACCEPTED },
    scopes: [`repository:${repository}:pull`],
  } as const;
  return client.ask(request, [200], async (answer) => ({
    bytes: await answer.bytes(limit),
    contentType: answer.headers.get("content-type"),
  }));
}
