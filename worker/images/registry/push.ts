/**
 * From the store into a registry: blobs first, some at once, each only if the repository lacks it, then the manifest
 * that names them, byte for byte as it is stored. A pulled image therefore keeps its digest.
 */
import type { Digest } from "../digest.ts";
import { MediaType } from "../oci.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { RegistryClient } from "./client.ts";
import { concurrently } from "./concurrently.ts";
import type { TransferState } from "./progress.ts";
import type { TransferOptions } from "./pull.ts";
import { formatReference, parseReference, type Reference } from "../../../shared/image-reference.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistrySettings } from "./settings.ts";
import { uploadBlob } from "./upload.ts";

/** What a push has made. */
export interface PushedImage {
  /** The name in the registry. */
  readonly reference: string;
  readonly digest: Digest;
}

/**
 * Pushes an image.
 * @param destination reference of a repository and tag (or the image's own digest)
 * @throws {RegistryError} when the registry does not take it
 */
export async function pushImage(
  store: ImageStore,
  image: StoredImage,
  destination: string,
  settings: RegistrySettings,
  { signal, onProgress, atOnce = 3 }: TransferOptions = {},
): Promise<PushedImage> {
  // What is being read must not be collected as garbage meanwhile.
  await using _content = await store.keepContent(signal);
  const reference = parseReference(destination);
  const name = formatReference(reference);
  if (reference.digest !== undefined && reference.digest !== image.digest)
    throw new RegistryError(`image ${image.reference} is ${image.digest}: it cannot be pushed as ${name}`);
  const scope = new AbortController();
  const client = new RegistryClient(reference.registry, {
    ...settings,
    signal: signal === undefined ? scope.signal : AbortSignal.any([signal, scope.signal]),
    onRetry: ({ message }, pauseMs) => onProgress?.({ kind: "retry", reason: message, pauseMs }),
  });
  const { manifest, digest } = image;
  const blobs = [...new Map([manifest.config, ...manifest.layers].map((blob) => [blob.digest, blob])).values()];
  onProgress?.({ kind: "planned", reference: name, digest, blobs });

  const holders = await repositoriesHolding(store, reference);
  await concurrently(blobs, atOnce, scope, signal, async (blob) => {
    const report = (state: TransferState) => onProgress?.({ kind: "blob", digest: blob.digest, state });
    const mountFrom = holders.get(blob.digest);
    const how = await uploadBlob(client, reference.repository, {
      ...blob,
      open: () => store.openBlob(blob.digest),
      mountFrom,
      onBytes: (bytes) => report({ kind: "moving", bytes }),
    });
    report(stateAfter(how, mountFrom));
  });
  await putManifest(client, reference, image, await store.blobs.get(digest));
  return { reference: name, digest };
}

function stateAfter(how: "present" | "mounted" | "sent", mountFrom: string | undefined): TransferState {
  switch (how) {
    case "present":
      return { kind: "present" };
    case "mounted":
      return { kind: "mounted", from: mountFrom ?? "" };
    case "sent":
      return { kind: "done" };
    default:
      return how satisfies never;
  }
}

/** Other repositories of the registry that, by the names of our images, should have a blob. */
async function repositoriesHolding(store: ImageStore, destination: Reference): Promise<ReadonlyMap<Digest, string>> {
  const holders = new Map<Digest, string>();
  for (const { reference, manifest } of await store.list()) {
    const name = parsed(reference);
    if (name?.registry !== destination.registry || name.repository === destination.repository) continue;
    for (const { digest } of [manifest.config, ...manifest.layers]) holders.set(digest, name.repository);
  }
  return holders;
}

/** Names that images got here need not be references. */
function parsed(name: string): Reference | undefined {
  // What only becomes a name on Docker Hub by completion was built here, not pulled from there.
  if (!name.includes("/")) return undefined;
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

async function putManifest(
  client: RegistryClient,
  { repository, tag, digest }: Reference,
  image: StoredImage,
  bytes: Uint8Array,
): Promise<void> {
  const what = `manifest ${image.digest} for ${client.endpoint.registry}/${repository}`;
  const request = {
    what,
    method: "PUT",
    url: client.endpoint.url(`/v2/${repository}/manifests/${digest ?? tag ?? "latest"}`),
    headers: { "content-type": image.manifest.mediaType ?? MediaType.manifest },
    scopes: [`repository:${repository}:pull,push`],
    body: new Uint8Array(bytes),
  } as const;
  await client.ask(request, [201], async (answer) => {
    const stored = answer.headers.get("docker-content-digest");
    if (stored !== null && stored !== image.digest)
      throw new RegistryError(`${what}: the registry stored it as another one, ${stored.slice(0, 80)}`);
  });
}
