import { describeLayersOf, describeOwnLayer, type DescribedLayer } from "../described-layers.ts";
import { Annotation, type ImageConfig } from "../oci.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { LAYERS_MAX } from "../unpack/limits.ts";

/** What people say of a commit; it is in the image's history. */
export interface CommitRemarks {
  readonly message?: string | undefined;
  readonly author?: string | undefined;
}

/**
 * Makes what a job wrote an image: that which it ran, and the kept layers on top. The same commit gives the same image.
 * @throws when nothing is kept of the job, or the image would have too many layers
 */
export async function commitKeptRun(
  store: ImageStore,
  job: string,
  name: string,
  { message, author }: CommitRemarks = {},
): Promise<StoredImage> {
  // What is found now stays until the image has its name.
  await using _content = await store.keepContent();
  const run = await store.kept.get(job);
  const base = run && (await store.load(run.image));
  if (run === undefined || base === undefined) {
    throw new Error(
      `no layer of job ${job} is kept in ${store.directory}: ask for it with "keepLayer": true, and commit it on the ` +
        `machine of the worker that its result names, before result.keptLayer.expiresAt`,
    );
  }
  const layers: DescribedLayer[] = describeLayersOf(base);
  const history = [...(base.config.history ?? [])];
  for (const { digest, createdBy } of run.layers) {
    const layer = digest === null ? undefined : await store.layers.get(digest);
    if (digest !== null && layer === undefined) throw new Error(`layer ${digest} of job ${job} is gone: run it again`);
    if (layer !== undefined) layers.push(describeOwnLayer(layer));
    history.push({
      created: run.createdAt,
      created_by: createdBy,
      ...(author !== undefined && { author }),
      ...(message !== undefined && { comment: message }),
      ...(layer === undefined && { empty_layer: true }),
    });
  }
  if (layers.length > LAYERS_MAX)
    throw new Error(`the image would have ${layers.length} layers: ${LAYERS_MAX} can be mounted`);
  const config: ImageConfig = {
    ...base.config,
    created: run.createdAt,
    ...(author !== undefined && { author }),
    rootfs: { type: "layers", diff_ids: layers.map(({ layer }) => layer.digest) },
    history,
  };
  const annotations = { [Annotation.created]: run.createdAt, [Annotation.baseDigest]: base.digest };
  return store.commitDescribed([name], config, layers, annotations);
}
