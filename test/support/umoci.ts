/** Images as umoci makes and unpacks them, to compare with. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { importImages } from "../../worker/images/archive/import.ts";
import { hostArchitecture } from "../../worker/images/oci.ts";
import type { ImageStore, StoredImage } from "../../worker/images/store.ts";

const run = promisify(execFile);

/** Makes an image of tars, lowest first, in a layout at a path that does not exist. */
export async function makeImageByUmoci(layout: string, tars: readonly string[]): Promise<void> {
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", "--image", `${layout}:tool`]);
  for (const tar of tars) await run("umoci", ["raw", "add-layer", "--image", `${layout}:tool`, tar]);
}

/** Adds such an image to a store. */
export async function importImageOfUmoci(store: ImageStore, layout: string): Promise<StoredImage> {
  const platform = { os: "linux", architecture: hostArchitecture(), variant: undefined };
  const [image] = await importImages(store, layout, { name: "tool", platform });
  if (image === undefined) throw new Error(`${layout} has no image`);
  return image;
}

/** Unpacks such an image to a path that does not exist. @returns its root file system */
export async function unpackByUmoci(layout: string, bundle: string): Promise<string> {
  await run("umoci", ["unpack", "--image", `${layout}:tool`, bundle]);
  return join(bundle, "rootfs");
}
