import { join } from "node:path";
import { loadConfig } from "../../../shared/config.ts";
import { ImageStore } from "../../images/store.ts";

/** Opens this machine's images, where the configuration says that they are. */
export async function openStore(): Promise<ImageStore> {
  const { dataDirectory, imageLimits: limits, imageCacheBytes: bytesMax } = loadConfig(process.env);
  return ImageStore.open(join(dataDirectory, "images"), { limits, bytesMax });
}
