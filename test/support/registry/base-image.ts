/** What images of tests start from: a shell and the tools that their steps and jobs use, in a registry. */
import { execFileSync } from "node:child_process";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LayerSource } from "../../../worker/images/addition.ts";
import { pushImage } from "../../../worker/images/registry/push.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { makeDataDirectory } from "../images.ts";
import { documentsOf, layerOf } from "../layer-sources.ts";
import { settings } from "./settings.ts";

/** Of Debian, with all that they need: a tenth of the machine's image, which many tests push, pull and unpack. */
const PACKAGES = [
  ...["bash", "dash", "coreutils", "grep", "mount", "libc6", "libtinfo6", "libselinux1", "libpcre2-8-0"],
  ...["libacl1", "libattr1", "libgmp10", "libmount1", "libblkid1"],
];

/**
 * Puts it there as `base:1`: the machine's `bash`, with less in its lowest layer.
 * @param registry `host:port`
 * @returns its name
 */
export async function publishBase(registry: string): Promise<string> {
  await using machine = await makeDataDirectory("bash");
  const bash = await machine.images.resolve("bash");
  if (bash === undefined) throw new Error("image bash is not built");
  await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-base-"));
  const store = await ImageStore.open(directory.path);
  const reference = `${registry}/base:1`;
  await using addition = await store.beginAddition();
  const sources = layersOf(bash, machine.images);
  await Promise.all(sources.map((source) => addition.addLayer(source)));
  const { manifest, config } = documentsOf(sources, bash.config);
  return (await pushImage(store, await addition.addImage(reference, manifest, config), reference, settings)).reference;
}

function layersOf({ lowerDirs, manifest, config }: StoredImage, store: ImageStore): LayerSource[] {
  const [system, ...others] = manifest.layers.map((descriptor, index) => ({
    descriptor,
    diffId: config.rootfs.diff_ids[index] ?? descriptor.digest,
    open: () => store.openBlob(descriptor.digest),
  }));
  if (system === undefined) throw new Error("image bash has no layers");
  return [layerOf(packTools(lowerDirs[0] ?? "")), ...others];
}

/** A tar of what the packages put where programs and libraries are, and of all else that a system has at its top. */
function packTools(root: string): Buffer {
  const lists = PACKAGES.flatMap((name) => globSync(join(root, `var/lib/dpkg/info/${name}{,:*}.list`)));
  const tools = lists
    .flatMap((list) => readFileSync(list, "utf8").split("\n"))
    // As they were before all of it came below /usr.
    .map((path) => path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/").slice(1))
    .filter((path) => /^usr\/(bin|lib|lib64)\//.test(path) && !path.includes("/gconv/"));
  const top = readdirSync(root).filter((name) => name !== "var" && name !== "usr");
  const etc = readdirSync(join(root, "etc"), { recursive: true, encoding: "utf8" }).map((path) => `etc/${path}`);
  const paths = [...new Set([...top, ...etc, ...tools])].toSorted();
  return execFileSync(
    "tar",
    ["--create", "--directory", root, "--no-recursion", "--numeric-owner", "--files-from", "-"],
    {
      input: paths.join("\n"),
      maxBuffer: 2 ** 26,
    },
  );
}
