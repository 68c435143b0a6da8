import { namesOf } from "../../../shared/image-reference.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";

/**
 * Finds an image as people name it: by the very name or digest, or by the name that it has after a pull, so that
 * `python` is `docker.io/library/python:latest` where there is no `python`.
 * @throws when it is not here
 */
export async function findImage(store: ImageStore, name: string): Promise<StoredImage> {
  const image = await findStored(store, name);
  if (image === undefined) throw new Error(`image ${name} is not here: longshore images list shows those that are`);
  return image;
}

/** As {@link findImage}, but undefined where it is not here. */
export async function findStored(store: ImageStore, name: string): Promise<StoredImage | undefined> {
  for (const candidate of namesOf(name)) {
    const image = await store.resolve(candidate);
    if (image !== undefined) return image;
  }
  return undefined;
}
