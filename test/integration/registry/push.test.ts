import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hostArchitecture } from "../../../worker/images/oci.ts";
import type { TransferProgress } from "../../../worker/images/registry/progress.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { pushImage } from "../../../worker/images/registry/push.ts";
import { DEFAULT_RETRY } from "../../../worker/images/registry/retry.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, inspect, makeImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";

const run = promisify(execFile);
const MEGABYTE = 1_000_000;
let directory: string;
let source: DockerRegistry;
let registry: DockerRegistry;
let proxy: Proxy;
let store: ImageStore;
/** Pulled, with layers of 20 MB, which is three chunks, and of a few bytes. */
let pulled: StoredImage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-push-"));
  source = await startRegistry();
  await copyToRegistry(await makeImage(directory, "image", [20 * MEGABYTE, 100]), `${source.host}/image:oci`);
  await copyToRegistry(await makeImage(directory, "docker", [500]), `${source.host}/image:docker`, { format: "v2s2" });
  store = await ImageStore.open(join(directory, "store"));
  pulled = await pullImage(store, `${source.host}/image:oci`, settings);
});

afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  return async () => {
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  };
});

const uploaded = () =>
  proxy.seen.filter(({ url }) => url.includes("/uploads/")).reduce((sum, { sent }) => sum + sent, 0);
const bytesOf = ({ manifest }: StoredImage) =>
  [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, 0);

describe("a push", () => {
  it.each(["oci", "docker"])("of a pulled image (%s) keeps its digest and every byte", async (tag) => {
    const image = await pullImage(store, `${source.host}/image:${tag}`, settings);
    const pushed = await pushImage(store, image, `${proxy.host}/copy:1`, settings);
    expect(pushed).toEqual({ digest: image.digest, reference: `${proxy.host}/copy:1` });
    expect(await inspect(`${registry.host}/copy:1`)).toEqual({
      ...(await inspect(`${source.host}/image:${tag}`)),
      Name: `${registry.host}/copy`,
      RepoTags: ["1"],
    });
    expect(uploaded()).toBe(bytesOf(image));
    const other = await ImageStore.open(await mkdtemp(join(directory, "other-")));
    expect((await pullImage(other, `${registry.host}/copy:1`, settings)).digest).toBe(image.digest);
  });

  it("sends large layers in chunks, one after the other", async () => {
    await pushImage(store, pulled, `${proxy.host}/copy:1`, settings);
    const large = pulled.manifest.layers[0]?.size ?? 0;
    const ranges = proxy.requests("PATCH", /uploads/).map(({ headers }) => headers["content-range"]);
    const chunk = 8 * 1024 * 1024;
    expect(ranges).toEqual([`0-${chunk - 1}`, `${chunk}-${2 * chunk - 1}`, `${2 * chunk}-${large - 1}`]);
  });

  it("sends nothing that is there already", async () => {
    await pushImage(store, pulled, `${registry.host}/copy:1`, settings);
    const progress: TransferProgress[] = [];
    await pushImage(store, pulled, `${proxy.host}/copy:2`, settings, { onProgress: (event) => progress.push(event) });
    expect(uploaded()).toBe(0);
    expect(proxy.requests("POST", /uploads/)).toEqual([]);
    expect(progress.flatMap((event) => (event.kind === "blob" ? [event.state.kind] : []))).toEqual([
      "present",
      "present",
      "present",
    ]);
    expect((await inspect(`${registry.host}/copy:2`)).Digest).toBe(pulled.digest);
  });

  it("lets the registry take blobs over from another of its repositories", async () => {
    await pushImage(store, pulled, `${proxy.host}/first:1`, settings);
    const known = await pullImage(store, `${proxy.host}/first:1`, settings);
    proxy.seen.length = 0;
    const progress: TransferProgress[] = [];
    await pushImage(store, known, `${proxy.host}/second:1`, settings, { onProgress: (event) => progress.push(event) });
    expect(uploaded()).toBe(0);
    expect(progress.flatMap((event) => (event.kind === "blob" ? [event.state] : []))).toEqual(
      Array.from({ length: 3 }, () => ({ kind: "mounted", from: "first" })),
    );
    expect((await inspect(`${registry.host}/second:1`)).Digest).toBe(pulled.digest);
  });

  it("sends them itself when the registry has lost what it could take over", async () => {
    await pushImage(store, pulled, `${proxy.host}/first:1`, settings);
    await pullImage(store, `${proxy.host}/first:1`, settings);
    proxy.seen.length = 0;
    proxy.intercept = (request, response, forward) => {
      // As a registry that has no such repository, or does not know mounts.
      if (request.url?.includes("mount=") === true) response.writeHead(405).end();
      else forward();
    };
    await pushImage(store, pulled, `${proxy.host}/third:1`, settings);
    expect(uploaded()).toBe(bytesOf(pulled));
  });

  it("goes on after broken connections, and what arrives is whole", async () => {
    let chunks = 0;
    proxy.intercept = (request, _response, forward) => {
      if (request.method !== "PATCH") return forward();
      chunks += 1;
      forward(chunks % 2 === 1 && chunks < 8 ? { cutRequestAfter: 3 * MEGABYTE } : {});
    };
    const retries: string[] = [];
    await pushImage(store, pulled, `${proxy.host}/copy:1`, settings, {
      onProgress: (event) => event.kind === "retry" && retries.push(event.reason),
    });
    expect(retries.length).toBeGreaterThan(0);
    const other = await ImageStore.open(await mkdtemp(join(directory, "other-")));
    expect((await pullImage(other, `${registry.host}/copy:1`, settings)).digest).toBe(pulled.digest);
  });

  it("is repeated when the registry is in trouble, up to a point", async () => {
    const troubled = new Set<string>();
    proxy.intercept = (request, response, forward) => {
      const kind = `${request.method} ${request.url?.split("?")[0]}`;
      if (troubled.has(kind)) return forward();
      troubled.add(kind);
      response.writeHead(503).end();
    };
    expect((await pushImage(store, pulled, `${proxy.host}/copy:1`, settings)).digest).toBe(pulled.digest);

    proxy.intercept = (request, response, forward) => {
      if (request.method === "PUT" && request.url?.includes("/manifests/") === true) response.writeHead(500).end();
      else forward();
    };
    proxy.seen.length = 0;
    await expect(pushImage(store, pulled, `${proxy.host}/copy:2`, settings)).rejects.toMatchObject({ status: 500 });
    expect(proxy.requests("PUT", /manifests/)).toHaveLength(DEFAULT_RETRY.attempts);
  });

  it("is not led to another machine by the registry", async () => {
    proxy.intercept = (request, response, forward) => {
      if (request.method !== "POST") return forward();
      response.writeHead(202, { location: "http://169.254.169.254/upload" }).end();
    };
    await expect(pushImage(store, pulled, `${proxy.host}/copy:1`, settings)).rejects.toThrow(
      /its place for uploads to http:\/\/169\.254\.169\.254\/upload is refused/,
    );
  });

  it("under another digest is refused", async () => {
    const wrong = `${proxy.host}/copy@sha256:${"0".repeat(64)}`;
    await expect(pushImage(store, pulled, wrong, settings)).rejects.toThrow(/cannot be pushed as/);
    expect(proxy.seen).toEqual([]);
  });

  it("of an image that was made here is one that skopeo and umoci understand", async () => {
    const staged = join(store.directory, "staging", "made");
    await mkdir(join(staged, "etc"), { recursive: true });
    await writeFile(join(staged, "etc/motd"), "hello\n");
    await symlink("motd", join(staged, "etc/issue"));
    const layer = await store.layers.commit(staged);
    const config = {
      architecture: hostArchitecture(),
      os: "linux",
      config: { Cmd: ["/bin/true"], Env: ["A=b"] },
      rootfs: { type: "layers" as const, diff_ids: [layer.digest] },
    };
    const made = await store.commit("made", config, [layer], {});
    await pushImage(store, made, `${proxy.host}/made:1`, settings);

    expect(await inspect(`${registry.host}/made:1`)).toMatchObject({ Digest: made.digest, Env: ["A=b"] });
    const layout = join(directory, "made");
    await run("skopeo", [
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      `docker://${registry.host}/made:1`,
      `oci:${layout}:1`,
    ]);
    await run("umoci", ["unpack", "--image", `${layout}:1`, join(directory, "bundle")]);
    expect(await readFile(join(directory, "bundle/rootfs/etc/issue"), "utf8")).toBe("hello\n");
  });
});
