/** What a pull transfers: an image from a real registry, once into an empty store, and once more. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NO_CREDENTIALS } from "../../../worker/images/registry/credentials.ts";
import { hostPlatform } from "../../../worker/images/registry/platform.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { pushImage } from "../../../worker/images/registry/push.ts";
import type { RegistrySettings } from "../../../worker/images/registry/settings.ts";
import { hostArchitecture } from "../../../worker/images/oci.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { startRegistry } from "../../support/registry/docker-registry.ts";
import { startProxy } from "../../support/registry/proxy.ts";

/** What went over the wire in one pull. */
export interface Transfer {
  readonly requests: number;
  /** Of blobs: layers and configuration. */
  readonly blobBytes: number;
  /** Of everything else: manifests. */
  readonly otherBytes: number;
}

const settings: RegistrySettings = { credentials: NO_CREDENTIALS, platform: hostPlatform(), mirrors: new Map() };

const LAYERS = 5;
const LAYER_BYTES = 4 * 1024 * 1024;

/** Pulls twice through a proxy that counts, from Debian's docker-registry on loopback. */
export async function countPulls(directory: string): Promise<{ readonly first: Transfer; readonly second: Transfer }> {
  await using registry = await startRegistry();
  await using proxy = await startProxy(registry.host);
  const source = await ImageStore.open(join(directory, "push"));
  const layers = [];
  for (let index = 0; index < LAYERS; index++) {
    const staging = join(directory, "push/staging", `layer-${index}`);
    await mkdir(staging, { mode: 0o755 });
    await writeFile(join(staging, `file-${index}`), Buffer.alloc(LAYER_BYTES, index));
    layers.push(await source.layers.commit(staging));
  }
  const rootfs = { type: "layers" as const, diff_ids: layers.map(({ digest }) => digest) };
  const config = { architecture: hostArchitecture(), os: "linux", config: {}, rootfs };
  const image = await source.commit("bench", config, layers, {});
  await pushImage(source, image, `${registry.host}/bench:1`, settings);

  const store = await ImageStore.open(join(directory, "pull"));
  const pull = async (): Promise<Transfer> => {
    proxy.seen.length = 0;
    await pullImage(store, `${proxy.host}/bench:1`, settings);
    const bytesOf = (isBlob: boolean): number =>
      proxy.seen
        .filter(({ url }) => url.includes("/blobs/") === isBlob)
        .reduce((sum, { answered }) => sum + answered, 0);
    return { requests: proxy.seen.length, blobBytes: bytesOf(true), otherBytes: bytesOf(false) };
  };
  return { first: await pull(), second: await pull() };
}
