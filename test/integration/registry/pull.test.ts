import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hostPlatform } from "../../../worker/images/registry/platform.ts";
import type { TransferProgress } from "../../../worker/images/registry/progress.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, inspect, makeImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";

const MEGABYTE = 1_000_000;
let directory: string;
let registry: DockerRegistry;
let proxy: Proxy;
let store: ImageStore;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-pull-"));
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  const image = await makeImage(directory, "three", [2 * MEGABYTE, 10, 3000]);
  await copyToRegistry(image, `${registry.host}/team/three:v1`);
  await copyToRegistry(image, `${registry.host}/team/three:docker`, { format: "v2s2" });
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  proxy.seen.length = 0;
  proxy.intercept = (_request, _response, forward) => forward();
  store = await ImageStore.open(await mkdtemp(join(directory, "store-")));
});

const BLOB = /\/blobs\/sha256:/;

describe("a pull", () => {
  it.each(["v1", "docker"])("of %s stores the image that skopeo put there, under its canonical name", async (tag) => {
    const reference = `${registry.host}/team/three:${tag}`;
    const image = await pullImage(store, reference, settings);
    const expected = await inspect(reference);
    expect(image.digest).toBe(expected.Digest);
    expect(image.manifest.layers.map(({ digest }) => digest)).toEqual(expected.Layers);
    expect(image.config.config).toMatchObject({
      Cmd: ["/layer-0/file-0"],
      Env: expect.arrayContaining(["MADE_BY=umoci"]),
    });
    expect(await store.resolve(reference)).toEqual(image);
    for (const [index, { path }] of image.layers.entries())
      expect(await readFile(join(path, `layer-${index}/file-${index}`))).toEqual(
        await readFile(join(directory, `three-${index}/file-${index}`)),
      );
  });

  it("by digest needs no tag, and is named by the digest", async () => {
    const { Digest } = await inspect(`${registry.host}/team/three:v1`);
    const image = await pullImage(store, `${registry.host}/team/three:other@${Digest}`, settings);
    expect(image).toMatchObject({ digest: Digest, reference: `${registry.host}/team/three@${Digest}` });
  });

  it("of what is here transfers no layer and no configuration", async () => {
    await pullImage(store, `${proxy.host}/team/three:v1`, settings);
    expect(proxy.requests("GET", BLOB)).toHaveLength(4);
    proxy.seen.length = 0;
    const progress: TransferProgress[] = [];
    await pullImage(store, `${proxy.host}/team/three:v1`, settings, { onProgress: (event) => progress.push(event) });
    expect(proxy.requests("GET", BLOB)).toEqual([]);
    expect(proxy.requests("GET", /\/manifests\//)).toHaveLength(1);
    expect(progress.map((event) => (event.kind === "blob" ? event.state.kind : event.kind))).toEqual([
      "planned",
      "present",
      "present",
      "present",
    ]);
  });

  it("at the same time as another one of the same image downloads once", async () => {
    const other = await ImageStore.open(store.directory);
    const reference = `${proxy.host}/team/three:v1`;
    const images = await Promise.all([store, other, store].map((one) => pullImage(one, reference, settings)));
    expect(new Set(images.map(({ digest }) => digest)).size).toBe(1);
    const layers = new Set(images[0]?.manifest.layers.map(({ digest }) => digest));
    const downloads = proxy.requests("GET", BLOB).map(({ url }) => url.slice(url.indexOf("sha256:")));
    expect(downloads.filter((digest) => layers.has(digest as never)).sort()).toEqual([...layers].sort());
  });

  it("tells of each layer's bytes", async () => {
    const progress: TransferProgress[] = [];
    const image = await pullImage(store, `${registry.host}/team/three:v1`, settings, {
      onProgress: (event) => progress.push(event),
    });
    const [planned] = progress;
    expect(planned).toMatchObject({ kind: "planned", digest: image.digest, blobs: image.manifest.layers });
    for (const { digest, size } of image.manifest.layers) {
      const states = progress.flatMap((event) =>
        event.kind === "blob" && event.digest === digest ? [event.state] : [],
      );
      expect(states.at(-1)).toEqual({ kind: "done" });
      expect(states.at(-2)).toEqual({ kind: "moving", bytes: size });
    }
  });

  it("of an index takes the image for the platform, and says what there is for others", async () => {
    const { Digest: digest } = await inspect(`${registry.host}/team/three:v1`);
    const answer = await fetch(`http://${registry.host}/v2/team/three/manifests/${digest}`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    const size = (await answer.arrayBuffer()).byteLength;
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const offered = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size };
    const index = {
      schemaVersion: 2,
      mediaType,
      manifests: [
        { ...offered, digest: `sha256:${"0".repeat(64)}`, platform: { os: "linux", architecture: "s390x" } },
        { ...offered, platform: { os: "linux", architecture: hostPlatform().architecture } },
      ],
    };
    proxy.intercept = (request, response, forward) => {
      if (request.url?.endsWith("/manifests/index") !== true) return forward();
      response.writeHead(200, { "content-type": mediaType }).end(JSON.stringify(index));
    };
    const reference = `${proxy.host}/team/three:index`;
    expect(await pullImage(store, reference, settings)).toMatchObject({ digest, reference });

    const riscv = { ...settings, platform: { os: "linux", architecture: "riscv64" } };
    await expect(pullImage(store, reference, riscv)).rejects.toThrow(
      `no image for linux/riscv64, only for linux/s390x, linux/${hostPlatform().architecture}: see LONGSHORE_PLATFORM`,
    );
    await expect(pullImage(store, `${registry.host}/team/three:v1`, riscv)).rejects.toThrow(/not for linux\/riscv64/);
  });

  it("goes to mirrors first, and to the registry itself when they have not got it", async () => {
    const { Digest: digest } = await inspect(`${registry.host}/team/three:v1`);
    await using empty = await startRegistry();
    const progress: TransferProgress[] = [];
    const mirrors = new Map([["origin.invalid", [empty.host, proxy.host]]]);
    const image = await pullImage(
      store,
      "origin.invalid/team/three:v1",
      { ...settings, mirrors },
      {
        onProgress: (event) => progress.push(event),
      },
    );
    expect(image).toMatchObject({ reference: "origin.invalid/team/three:v1", digest });
    expect(progress[0]).toMatchObject({ kind: "mirror_failed", mirror: empty.host });
    const fallback = new Map([[proxy.host, [empty.host]]]);
    expect(await pullImage(store, `${proxy.host}/team/three:v1`, { ...settings, mirrors: fallback })).toMatchObject({
      digest,
    });
  });

  it("that is aborted ends with the reason and leaves nothing but whole layers", async () => {
    const controller = new AbortController();
    const pulled = pullImage(store, `${proxy.host}/team/three:v1`, settings, {
      signal: controller.signal,
      onProgress: (event) =>
        event.kind === "blob" && event.state.kind === "moving" && controller.abort(new Error("enough")),
    });
    await expect(pulled).rejects.toThrow("enough");
    expect(await store.list()).toEqual([]);
    expect(await readdir(join(store.directory, "staging"))).toEqual([]);
    expect(await pullImage(store, `${proxy.host}/team/three:v1`, settings)).toMatchObject({ layers: { length: 3 } });
  });

  it("of what is not there says so", async () => {
    await expect(pullImage(store, `${registry.host}/team/nothing:v1`, settings)).rejects.toThrow(
      /^manifest of 127\.0\.0\.1:\d+\/team\/nothing:v1: not found .*\(MANIFEST_UNKNOWN|NAME_UNKNOWN\)/,
    );
    await expect(pullImage(store, "registry.invalid/a", settings)).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/);
  });
});

it("umoci and we unpack the same files", async () => {
  const image = await pullImage(store, `${registry.host}/team/three:v1`, settings);
  const theirs = join(directory, "bundle");
  await promisify(execFile)("umoci", ["unpack", "--image", `${join(directory, "three")}:latest`, theirs]);
  for (const { path } of image.layers) {
    const { stdout } = await promisify(execFile)("diff", [
      "--recursive",
      "--no-dereference",
      path,
      join(theirs, "rootfs"),
    ]).catch((error: { stdout: string }) => error);
    // Their directory has the files of all layers; nothing is only in ours or different.
    expect(stdout.split("\n").filter((line) => line !== "" && !line.startsWith(`Only in ${theirs}`))).toEqual([]);
  }
});
