import { join } from "node:path";
import { loadConfig } from "../../../shared/config.ts";
import { ImageStore } from "../../images/store.ts";

/** Opens this machine's images, where the configuration says that they are. */
export async function openStore(): Promise<ImageStore> {
  return ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
}
