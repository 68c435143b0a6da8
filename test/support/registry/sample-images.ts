/** Images made by umoci, and put into registries by skopeo: nothing of ours is in them. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** An OCI image layout with one image. */
export interface SampleImage {
  readonly layout: string;
  readonly tag: string;
}

/**
 * Makes an image with a layer for each of `layers`, of a file with so many bytes that no compressor makes smaller.
 * @param directory where the layout is made
 */
export async function makeImage(directory: string, name: string, layers: readonly number[]): Promise<SampleImage> {
  const layout = join(directory, name);
  const image = `${layout}:latest`;
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", "--image", image]);
  for (const [index, bytes] of layers.entries()) {
    const content = join(directory, `${name}-${index}`);
    await mkdir(content);
    await writeFile(join(content, `file-${index}`), randomBytes(bytes));
    await run("umoci", ["insert", "--rootless", "--image", image, content, `/layer-${index}`]);
  }
  await run("umoci", ["config", "--image", image, "--config.cmd", "/layer-0/file-0", "--config.env", "MADE_BY=umoci"]);
  return { layout, tag: "latest" };
}

/** Copies with skopeo; `format` `v2s2` makes Docker's documents of it. */
export async function copyToRegistry(
  { layout, tag }: SampleImage,
  destination: string,
  options: { readonly format?: "oci" | "v2s2"; readonly credentials?: string } = {},
): Promise<void> {
  const { format = "oci", credentials } = options;
  await run("skopeo", [
    ...["copy", "--quiet", "--dest-tls-verify=false", "--format", format],
    ...(credentials === undefined ? [] : ["--dest-creds", credentials]),
    ...[`oci:${layout}:${tag}`, `docker://${destination}`],
  ]);
}

/** What skopeo finds in a registry. */
export async function inspect(reference: string, credentials?: string): Promise<{ Digest: string; Layers: string[] }> {
  const login = credentials === undefined ? [] : ["--creds", credentials];
  const { stdout } = await run("skopeo", ["inspect", "--tls-verify=false", ...login, `docker://${reference}`]);
  return JSON.parse(stdout);
}
