/** Registries, and networks before them, that break, lie, or want to harm. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TransferProgress } from "../../../worker/images/registry/progress.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { DEFAULT_RETRY } from "../../../worker/images/registry/retry.ts";
import type { RegistrySettings } from "../../../worker/images/registry/settings.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Intercept, type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, inspect, makeImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";

const MEGABYTE = 1_000_000;
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
let directory: string;
let registry: DockerRegistry;
let proxy: Proxy;
let store: ImageStore;
/** Digests by the registry itself. */
let manifestDigest: string;
let layerDigest: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-faults-"));
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  await copyToRegistry(await makeImage(directory, "image", [3 * MEGABYTE]), `${registry.host}/a:1`);
  const { Digest, Layers } = await inspect(`${registry.host}/a:1`);
  manifestDigest = Digest;
  layerDigest = Layers[0] ?? "";
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  proxy.seen.length = 0;
  store = await ImageStore.open(await mkdtemp(join(directory, "store-")));
});

/** Whatever came of it, nothing half done is left, and the store takes the image from an honest registry. */
afterEach(async () => {
  const left = await readdir(join(store.directory, "staging"));
  if (left.length > 0) throw new Error(`staging/ still has ${left.join(", ")}`);
  proxy.intercept = (_request, _response, forward) => forward();
  const { digest } = await pullImage(store, `${proxy.host}/a:1`, settings);
  if (digest !== manifestDigest) throw new Error(`the store took ${digest} for ${manifestDigest}`);
});

function pull(how: RegistrySettings = settings, onProgress?: (event: TransferProgress) => void) {
  return pullImage(store, `${proxy.host}/a:1`, how, onProgress && { onProgress });
}

/** Applies to requests for the layer only, and counts them from 1. */
function onLayer(intercept: (count: number, ...args: Parameters<Intercept>) => void): void {
  let count = 0;
  proxy.intercept = (request, response, forward) => {
    if (request.url?.includes(layerDigest) !== true) return forward();
    count += 1;
    intercept(count, request, response, forward);
  };
}

function onManifest(answer: (request: IncomingMessage, response: ServerResponse) => void): void {
  proxy.intercept = (request, response, forward) => {
    if (request.url?.includes("/manifests/") === true) answer(request, response);
    else forward();
  };
}

const layerRequests = () => proxy.requests("GET", new RegExp(layerDigest));

describe("a download that breaks", () => {
  it("goes on from where it was, and transfers nothing twice", async () => {
    onLayer((count, _request, _response, forward) => forward(count < 4 ? { cutAnswerAfter: 700_000 } : {}));
    const image = await pull();
    expect(image.digest).toBe(manifestDigest);
    const ranges = layerRequests().map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges).toHaveLength(4);
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    expect(starts.every((start, index) => start > (starts[index - 1] ?? 0))).toBe(true);
    const last = layerRequests().at(-1);
    expect(last?.answered).toBe((image.manifest.layers[0]?.size ?? 0) - (starts.at(-1) ?? 0));
  });

  it("from a server that ignores ranges skips what it has", async () => {
    onLayer((count, _request, _response, forward) =>
      forward({ without: "range", ...(count < 3 && { cutAnswerAfter: count * 900_000 }) }),
    );
    expect((await pull()).digest).toBe(manifestDigest);
    expect(layerRequests()).toHaveLength(3);
  });

  it("each time before anything came is given up after some tries", async () => {
    onLayer((_count, _request, _response, forward) => forward({ cutAnswerAfter: 0 }));
    await expect(pull()).rejects.toThrow(/^GET http:\/\/127\.0\.0\.1:\d+\/v2\/a\/blobs\/sha256:/);
    expect(layerRequests()).toHaveLength(DEFAULT_RETRY.attempts);
  });

  it("each time after a few bytes is given up, too", async () => {
    onLayer((_count, _request, _response, forward) => forward({ cutAnswerAfter: 10 }));
    await expect(pull()).rejects.toThrow(/blobs\/sha256:/);
    expect(layerRequests()).toHaveLength(DEFAULT_RETRY.attempts);
  });

  it("is found to be broken when nothing comes any more", async () => {
    const retries: string[] = [];
    onLayer((count, _request, response, forward) => {
      if (count === 1) response.writeHead(200).flushHeaders();
      else forward();
    });
    await pull({ ...settings, stallMs: 500 }, (event) => event.kind === "retry" && retries.push(event.reason));
    expect(retries).toEqual([expect.stringMatching(/nothing came for/)]);
  });

  it("answered with another range than asked for is refused", async () => {
    onLayer((count, _request, response, forward) => {
      if (count === 1) return forward({ cutAnswerAfter: 700_000 });
      response.writeHead(206, { "content-range": "bytes 0-9/10" }).end("0123456789");
    });
    await expect(pull()).rejects.toThrow(/another range than asked for/);
  });
});

describe("a registry in trouble", () => {
  it.each([429, 500, 502, 503, 504, 408])("that answers %i is asked again", async (status) => {
    let failures = 0;
    proxy.intercept = (_request, response, forward) => {
      if (failures === 3) return forward();
      failures += 1;
      response.writeHead(status, { "retry-after": "0" }).end();
    };
    const retries: TransferProgress[] = [];
    await pull(settings, (event) => event.kind === "retry" && retries.push(event));
    expect(retries).toHaveLength(3);
  });

  it("that speaks no HTTP is found out, and it is said how", async () => {
    proxy.intercept = (request) => void request.socket.end("220 smtp.example ESMTP\r\n\r\n");
    await expect(pull()).rejects.toThrow(/^GET http:\/\/127\.0\.0\.1:\d+\/v2\/.*: .*HTTP/);
  });

  it("for good is given up with its own words", async () => {
    onManifest((_request, response) =>
      response
        .writeHead(503)
        .end(JSON.stringify({ errors: [{ code: "UNAVAILABLE", message: "try\n\u001b[31mlater" }] })),
    );
    await expect(pull()).rejects.toThrow(/manifest of .*: answered 503: try \[31mlater \(UNAVAILABLE\)$/);
    expect(proxy.requests("GET", /manifests/)).toHaveLength(DEFAULT_RETRY.attempts);
  });

  it("that wants us to stay away for an hour is given up at once", async () => {
    onManifest((_request, response) => response.writeHead(429, { "retry-after": "3600" }).end());
    await expect(pull()).rejects.toThrow(/the registry limits how much may be asked of it$/);
    expect(proxy.requests("GET", /manifests/)).toHaveLength(1);
  });

  it.each([400, 401, 403, 404])("that answers %i is not asked again", async (status) => {
    onManifest((_request, response) => response.writeHead(status).end());
    await expect(pull()).rejects.toMatchObject({ name: "RegistryError", status });
    expect(proxy.requests("GET", /manifests/)).toHaveLength(1);
  });
});

describe("a registry that lies", () => {
  const altered = (content: Buffer) => {
    const copy = Buffer.from(content);
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
    return copy;
  };
  const original = async (digest: string) =>
    Buffer.from(await (await fetch(`http://${registry.host}/v2/a/blobs/${digest}`)).arrayBuffer());

  it("about a layer's content is found out", async () => {
    const content = altered(await original(layerDigest));
    onLayer((_count, _request, response) => response.writeHead(200).end(content));
    await expect(pull()).rejects.toThrow(/what came has another digest/);
    expect(await store.layers.list()).toEqual([]);
  });

  it("about a layer's size is found out before its body", async () => {
    onLayer((_count, _request, response) => response.writeHead(200, { "content-length": "7" }).end("seven b"));
    await expect(pull()).rejects.toThrow(/is 7 bytes long, not the \d+ its manifest states/);
  });

  it("with a layer without end is stopped", async () => {
    let sent = 0;
    onLayer((_count, _request, response) => {
      const piece = Buffer.alloc(65_536);
      const more = () => {
        if (response.destroyed) return;
        sent += piece.length;
        response.write(piece, more);
      };
      response.writeHead(200);
      more();
    });
    await expect(pull()).rejects.toThrow(/is larger than the \d+ bytes its manifest states/);
    expect(sent).toBeLessThan(50 * MEGABYTE);
  });

  it("by ending a layer early each time is given up", async () => {
    onLayer((_count, _request, response) => response.writeHead(200).end("short"));
    await expect(pull()).rejects.toThrow(/416|ended after 5 of \d+ bytes/);
  });

  it("about a manifest asked for by digest is found out", async () => {
    onManifest((_request, response) =>
      response.writeHead(200, { "content-type": MANIFEST_TYPE }).end(JSON.stringify({ schemaVersion: 2 })),
    );
    const pinned = pullImage(store, `${proxy.host}/a@${manifestDigest}`, settings);
    await expect(pinned).rejects.toThrow(/what came has the digest sha256:[0-9a-f]{64}: the registry or a cache/);
  });

  it("about the configuration is found out", async () => {
    const image = await pullImage(
      await ImageStore.open(await mkdtemp(join(directory, "other-"))),
      `${registry.host}/a:1`,
      settings,
    );
    const { digest } = image.manifest.config;
    const content = altered(await original(digest));
    proxy.intercept = (request, response, forward) => {
      if (request.url?.endsWith(digest) === true) response.writeHead(200).end(content);
      else forward();
    };
    await expect(pull()).rejects.toThrow(/what came has another digest/);
  });

  it("with a manifest of more than 4 MiB is stopped", async () => {
    onManifest((_request, response) => {
      response.writeHead(200, { "content-type": MANIFEST_TYPE });
      response.end(Buffer.alloc(4 * 1024 * 1024 + 1, " "));
    });
    await expect(pull()).rejects.toThrow(/the answer is longer than 4194304 bytes/);
  });

  it("with indexes that lead to each other without end is stopped", async () => {
    // Each index names the next by digest, five deep, the last one first.
    const type = "application/vnd.oci.image.index.v1+json";
    const texts: string[] = [];
    let named = { digest: manifestDigest, size: 1000 };
    for (let depth = 0; depth < 5; depth += 1) {
      const platform = { os: settings.platform.os, architecture: settings.platform.architecture };
      texts.push(
        JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [{ mediaType: type, ...named, platform }] }),
      );
      const text = texts.at(-1) ?? "";
      named = { digest: `sha256:${createHash("sha256").update(text).digest("hex")}`, size: text.length };
    }
    onManifest((request, response) => {
      const text = texts.find((one) => request.url?.endsWith(createHash("sha256").update(one).digest("hex")));
      response.writeHead(200, { "content-type": type }).end(text ?? texts.at(-1));
    });
    await expect(pull()).rejects.toThrow(/its indexes are nested more than 3 deep/);
  });

  it("and answers with a page instead of a manifest is refused", async () => {
    onManifest((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"));
    await expect(pull()).rejects.toThrow(/manifest of .*: is not JSON/);
  });

  it("and is of Docker's schema 1 is refused with what to do", async () => {
    onManifest((_request, response) => {
      const type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
      response.writeHead(200, { "content-type": type }).end(JSON.stringify({ schemaVersion: 1, fsLayers: [] }));
    });
    await expect(pull()).rejects.toThrow(/obsolete since 2017: push the image again/);
  });
});

describe("a redirect", () => {
  it("to another host is followed", async () => {
    await using blobs = await startProxy(registry.host);
    onLayer((_count, request, response) =>
      response.writeHead(307, { location: `http://${blobs.host}${request.url}?signature=secret` }).end(),
    );
    await pull();
    expect(blobs.seen).toHaveLength(1);
  });

  it("that broke is asked for anew at the registry, for signatures expire", async () => {
    await using blobs = await startProxy(registry.host);
    blobs.intercept = (_request, _response, forward) =>
      forward(blobs.seen.length === 1 ? { cutAnswerAfter: 700_000 } : {});
    onLayer((_count, request, response) =>
      response.writeHead(307, { location: `http://${blobs.host}${request.url}` }).end(),
    );
    await pull();
    expect(layerRequests()).toHaveLength(2);
    expect(blobs.seen.map(({ headers }) => headers.range)).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)]);
  });

  it.each([
    ["in a circle", (url: string) => url, /redirected more than 5 times/],
    ["to plain HTTP elsewhere", () => "http://169.254.169.254/secret", /is refused: it is not https/],
    ["to a file", () => "file:///etc/passwd", /is refused: it is neither https nor http/],
    ["to nowhere", () => "http://", /is not a URL/],
  ])("%s is refused", async (_, target, message) => {
    onLayer((_count, request, response) => response.writeHead(307, { location: target(request.url ?? "") }).end());
    await expect(pull()).rejects.toThrow(message);
  });
});
