import { formatReference, parseReference } from "../../../shared/image-reference.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";

/**
 * Finds an image as people name it: by the very name or digest, or by the name that it has after a pull, so that
 * `python` is `docker.io/library/python:latest` where there is no `python`.
 * @throws when it is not here
 */
export async function findImage(store: ImageStore, name: string): Promise<StoredImage> {
  const image = (await store.resolve(name)) ?? (await store.resolve(formatReference(parseReference(name))));
  if (image === undefined) throw new Error(`image ${name} is not here: longshore images list shows those that are`);
  return image;
}
