/** Where registries may lead us: real servers, of which none may see a request, and names that resolve as a test wants. */
import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClientOptions } from "../../../worker/images/registry/client.ts";
import { RegistryClient } from "../../../worker/images/registry/client.ts";
import { NO_CREDENTIALS } from "../../../worker/images/registry/credentials.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, makeImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";

/** Something of this machine's that no stranger should make us talk to. */
let inside: Server;
let port: number;
const seen: string[] = [];

beforeAll(async () => {
  inside = createServer((request, response) => {
    seen.push(request.url ?? "");
    response.end("secret");
  });
  inside.listen(0, "127.0.0.1");
  await once(inside, "listening");
  ({ port } = inside.address() as AddressInfo);
});

afterAll(async () => {
  inside.closeAllConnections();
  inside.close();
  await once(inside, "close");
});

beforeEach(() => void (seen.length = 0));

const HERE: LookupAddress = { address: "127.0.0.1", family: 4 };
const PRIVATE: LookupAddress = { address: "10.1.2.3", family: 4 };
const PUBLIC: LookupAddress = { address: "93.184.215.14", family: 4 };
const retry = settings.retry;

/** Has a registry ask for what is at a URL. */
async function ask(registry: string, url: string, options: Partial<ClientOptions>): Promise<string> {
  const client = new RegistryClient(registry, { credentials: NO_CREDENTIALS, ...(retry && { retry }), ...options });
  const request = { what: "a blob", method: "GET", url: new URL(url), scopes: [] } as const;
  return await client.ask(request, [200], async (answer) => (await answer.bytes(100)).toString());
}

describe("a host that a registry names", () => {
  it("is not connected to where its name resolves to this machine", async () => {
    const resolve = async () => [HERE];
    const asked = ask("registry.example", `http://blobs.example:${port}/a`, { resolve });
    await expect(asked).rejects.toThrow(
      `registry registry.example: it leads to blobs.example:${port}, which is at no public address: name that in LONGSHORE_PRIVATE_HOSTS`,
    );
    await expect(asked).rejects.not.toThrow("127.0.0.1");
    expect(seen).toEqual([]);
  });

  it("is not connected to where one of its addresses is private", async () => {
    const resolve = async () => [PUBLIC, PRIVATE];
    await expect(ask("registry.example", "https://blobs.example/a", { resolve })).rejects.toThrow("no public address");
  });

  it("is not connected to where it is such an address itself", async () => {
    const resolve = async () => expect.fail("an address is not looked up");
    for (const url of [`http://127.0.0.1:${port}/a`, "https://169.254.169.254/latest/meta-data", "https://[::1]/"])
      await expect(ask("registry.example", url, { resolve })).rejects.toThrow("no public address");
    expect(seen).toEqual([]);
  });

  it("is resolved once for a connection, so that no second answer counts", async () => {
    const answers = [[HERE], [PRIVATE]];
    const resolve = async () => answers.shift() ?? [];
    const url = `http://named.example:${port}/a`;
    expect(await ask("registry.example", url, { resolve, privateHosts: [`named.example:${port}`] })).toBe("secret");
    expect([seen, answers]).toEqual([["/a"], [[PRIVATE]]]);
  });

  it("is connected to where the operator has named it, or the registry is the operator's own", async () => {
    const resolve = async () => [HERE];
    const url = `http://blobs.example:${port}/a`;
    expect(await ask("registry.example", url, { resolve, privateHosts: ["blobs.example"] })).toBe("secret");
    expect(await ask("localhost:1", url, { resolve })).toBe("secret");
    expect(await ask(`blobs.example:${port}`, url, { resolve, insecureRegistries: [`blobs.example:${port}`] })).toBe(
      "secret",
    );
  });
});

describe("a registry at a name that is this machine's", () => {
  let directory: string;
  let registry: DockerRegistry;
  let proxy: Proxy;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "longshore-connections-"));
    registry = await startRegistry();
    proxy = await startProxy(registry.host);
    await copyToRegistry(await makeImage(directory, "image", [1000]), `${registry.host}/a:1`);
  });

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  afterEach(() => {
    proxy.intercept = (_request, _response, forward) => forward();
  });

  /** Pulls from the proxy under a name that is not on loopback, but named as insecure. */
  async function pull(): Promise<string> {
    const host = `registry.example:${proxy.host.split(":")[1]}`;
    const store = await ImageStore.open(await mkdtemp(join(directory, "store-")));
    const insecure = { ...settings, insecureRegistries: [host, `tokens.example:${port}`], resolve: async () => [HERE] };
    return (await pullImage(store, `${host}/a:1`, insecure)).reference;
  }

  it("is pulled from", async () => {
    expect(await pull()).toMatch(/^registry\.example:\d+\/a:1$/);
  });

  it.each([
    ["https://blobs.example/a", "no public address"],
    ["https://169.254.169.254/latest/meta-data", "no public address"],
    ["https://127.0.0.1/", "it leads to this machine"],
  ])("is not followed to %s", async (location, message) => {
    proxy.intercept = (request, response, forward) => {
      if (request.url?.includes("/blobs/") === true) response.writeHead(307, { location }).end();
      else forward();
    };
    await expect(pull()).rejects.toThrow(message);
  });

  it("does not get us to ask for a token at a name that is this machine's, unless it is named", async () => {
    const challenge = (realm: string) => {
      proxy.intercept = (_request, response) =>
        void response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="x"` }).end();
    };
    challenge("https://tokens.example/token");
    await expect(pull()).rejects.toThrow("it leads to tokens.example, which is at no public address");
    expect(seen).toEqual([]);
    challenge(`http://tokens.example:${port}/token`);
    await expect(pull()).rejects.toThrow("answered something else than a token");
    expect(seen).toHaveLength(1);
  });
});
