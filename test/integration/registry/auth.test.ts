/** Who we are to registries, and to whom we say it. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CredentialStore } from "../../../worker/images/registry/credentials.ts";
import { DockerConfigCredentials } from "../../../worker/images/registry/docker-config.ts";
import { pullImage } from "../../../worker/images/registry/pull.ts";
import { pushImage } from "../../../worker/images/registry/push.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, makeImage, type SampleImage } from "../../support/registry/sample-images.ts";
import { settings } from "../../support/registry/settings.ts";
import { startTokenServer, type TokenServer } from "./token-server.ts";

const USER = "ann:correct horse";
/** bcrypt of the password above, with cost 4. */
const HTPASSWD = "ann:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
const REFRESH_TOKEN = "refresh-me";

let directory: string;
let image: SampleImage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-auth-"));
  image = await makeImage(directory, "image", [1000, 2000, 3000]);
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function newStore(): Promise<ImageStore> {
  return ImageStore.open(await mkdtemp(join(directory, "store-")));
}

/** A configuration of docker in a directory of its own. */
async function dockerConfig(config: object): Promise<CredentialStore> {
  const home = await mkdtemp(join(directory, "docker-"));
  await writeFile(join(home, "config.json"), JSON.stringify(config));
  return new DockerConfigCredentials({ DOCKER_CONFIG: home, PATH: `${directory}:${process.env["PATH"]}` });
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("a registry that wants a password", () => {
  let registry: DockerRegistry;
  let proxy: Proxy;

  beforeAll(async () => {
    registry = await startRegistry({ kind: "htpasswd", line: HTPASSWD });
    proxy = await startProxy(registry.host);
    await copyToRegistry(image, `${registry.host}/private:1`, { credentials: USER });
  });

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  afterEach(() => {
    proxy.seen.length = 0;
    proxy.intercept = (_request, _response, forward) => forward();
  });

  const login = () => dockerConfig({ auths: { [proxy.host]: { auth: base64(USER) } } });

  it("gets the one that docker login left, after it asked", async () => {
    const store = await newStore();
    const pulled = await pullImage(store, `${proxy.host}/private:1`, { ...settings, credentials: await login() });
    expect(pulled.layers).toHaveLength(3);
    const [first, ...rest] = proxy.seen;
    expect(first?.headers.authorization).toBeUndefined();
    expect(rest.every(({ headers }) => headers.authorization === `Basic ${base64(USER)}`)).toBe(true);
  });

  it("gets the one of a credential helper", async () => {
    const helper = join(directory, "docker-credential-test");
    await writeFile(helper, `#!/bin/sh\nread -r server\necho '{"Username":"ann","Secret":"correct horse"}'\n`);
    await chmod(helper, 0o755);
    const credentials = await dockerConfig({ credHelpers: { [proxy.host]: "test" } });
    const pulled = await pullImage(await newStore(), `${proxy.host}/private:1`, { ...settings, credentials });
    expect(pulled.layers).toHaveLength(3);
  });

  it.each([
    ["nobody", { auths: {} }],
    ["somebody else's password", (host: string) => ({ auths: { [host]: { auth: base64("ann:battery staple") } } })],
    ["another registry's password", { auths: { "127.0.0.1": { auth: base64(USER) } } }],
  ])("refuses %s, and the message says nothing secret", async (_, config) => {
    const credentials = await dockerConfig(typeof config === "function" ? config(proxy.host) : config);
    const pulled = pullImage(await newStore(), `${proxy.host}/private:1`, { ...settings, credentials });
    await expect(pulled).rejects.toThrow(/wants other credentials: log in with docker login.*UNAUTHORIZED/);
    await expect(pulled).rejects.not.toThrow(/staple|horse/);
    // Asked once as nobody, and once more only if there was something to say.
    expect(proxy.seen.length).toBeLessThanOrEqual(2);
  });

  it("keeps it to itself when it redirects to another host, even one that asks", async () => {
    await using thief = await startProxy(registry.host);
    thief.intercept = (_request, response) =>
      response.writeHead(401, { "www-authenticate": 'Basic realm="give me"' }).end();
    proxy.intercept = (request, response, forward) => {
      if (request.url?.includes("/blobs/") !== true || request.headers.authorization === undefined) return forward();
      response.writeHead(307, { location: `http://${thief.host}${request.url}` }).end();
    };
    const pulled = pullImage(await newStore(), `${proxy.host}/private:1`, { ...settings, credentials: await login() });
    await expect(pulled).rejects.toMatchObject({ status: 401 });
    expect(thief.seen.length).toBeGreaterThan(0);
    expect(thief.seen.map(({ headers }) => headers.authorization)).toEqual(thief.seen.map(() => undefined));
  });

  it("does not get it again by a redirect that leads away and back", async () => {
    await using detour = await startProxy(registry.host);
    detour.intercept = (request, response) =>
      response.writeHead(307, { location: `http://${proxy.host}${request.url}?back` }).end();
    proxy.intercept = (request, response, forward) => {
      const { url = "", headers } = request;
      if (!url.includes("/blobs/") || url.endsWith("?back") || headers.authorization === undefined) return forward();
      response.writeHead(307, { location: `http://${detour.host}${url}` }).end();
    };
    const pulled = pullImage(await newStore(), `${proxy.host}/private:1`, { ...settings, credentials: await login() });
    await expect(pulled).rejects.toMatchObject({ status: 401 });
    const back = proxy.requests("GET", /\?back$/);
    expect(back.length).toBeGreaterThan(0);
    expect(back.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe("a registry that wants tokens", () => {
  let tokens: TokenServer;
  let registry: DockerRegistry;
  let proxy: Proxy;

  beforeAll(async () => {
    tokens = await startTokenServer({ passwords: new Set([USER]), refreshTokens: new Set([REFRESH_TOKEN]) });
    registry = await startRegistry({ kind: "token", ...tokens });
    proxy = await startProxy(registry.host);
    await copyToRegistry(image, `${registry.host}/team/image:1`, { credentials: USER });
  });

  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await tokens[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    proxy.seen.length = 0;
    tokens.requests.length = 0;
    proxy.intercept = (_request, _response, forward) => forward();
  });

  it("gives one to anybody for a pull, which is asked for once", async () => {
    const pulled = await pullImage(await newStore(), `${proxy.host}/team/image:1`, settings);
    expect(pulled.layers).toHaveLength(3);
    expect(tokens.requests).toEqual([{ account: undefined, scopes: ["repository:team/image:pull"] }]);
  });

  it.each([
    ["a password", USER, { auth: base64(USER) }],
    ["an identity token", REFRESH_TOKEN, { auth: base64("00000000-0000:"), identitytoken: REFRESH_TOKEN }],
  ])("gives one that may push for %s, for what it is needed for", async (_, account, auth) => {
    const credentials = await dockerConfig({ auths: { [proxy.host]: auth } });
    const store = await newStore();
    const pulled = await pullImage(store, `${proxy.host}/team/image:1`, settings);
    tokens.requests.length = 0;
    const name = account === USER ? "by-password" : "by-token";
    const pushed = await pushImage(store, pulled, `${proxy.host}/team/${name}:1`, { ...settings, credentials });
    expect(pushed.digest).toBe(pulled.digest);
    const push = `repository:team/${name}:pull,push`;
    expect(tokens.requests).toEqual([
      { account, scopes: [push] },
      { account, scopes: [push, "repository:team/image:pull"] },
    ]);
    // The password went to the token server, tokens to the registry.
    expect(proxy.seen.every(({ headers }) => headers.authorization?.startsWith("Basic") !== true)).toBe(true);
  });

  it("does not let nobody push", async () => {
    const store = await newStore();
    const pulled = await pullImage(store, `${proxy.host}/team/image:1`, settings);
    await expect(pushImage(store, pulled, `${proxy.host}/team/stolen:1`, settings)).rejects.toMatchObject({
      name: "RegistryError",
      status: 401,
    });
  });

  it("with a wrong password is refused by its token server", async () => {
    const credentials = await dockerConfig({ auths: { [proxy.host]: { auth: base64("ann:battery staple") } } });
    const pulled = pullImage(await newStore(), `${proxy.host}/team/image:1`, { ...settings, credentials });
    await expect(pulled).rejects.toThrow(/^token server 127\.0\.0\.1:\d+: .*wrong password \(DENIED\)$/);
    await expect(pulled).rejects.not.toThrow(/staple/);
  });

  it("gets a fresh one when it does not take the last one any more", async () => {
    let rejected = 0;
    proxy.intercept = (request, response, forward) => {
      // As if the token had run out between manifest and layers.
      if (rejected === 0 && request.url?.includes("/blobs/") === true) {
        rejected += 1;
        const challenge = `Bearer realm="${tokens.realm}",service="${tokens.service}",error="invalid_token"`;
        response.writeHead(401, { "www-authenticate": challenge }).end();
      } else {
        forward();
      }
    };
    await pullImage(await newStore(), `${proxy.host}/team/image:1`, settings);
    expect(tokens.requests).toHaveLength(2);
  });

  it.each([
    ["http://169.254.169.254/token", /its token server to .* is refused: it is not https/],
    ["file:///etc/passwd", /neither https nor http/],
    ["not a url", /answered|token server/],
  ])("and names %s for them is refused", async (realm, message) => {
    proxy.intercept = (_request, response) =>
      response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}"` }).end();
    await expect(pullImage(await newStore(), `${proxy.host}/team/image:1`, settings)).rejects.toThrow(message);
  });

  it("whose token server answers nonsense is refused without quoting it", async () => {
    await using other = await startProxy(registry.host);
    other.intercept = (_request, response) =>
      response.writeHead(200).end(JSON.stringify({ token: "hunter2\r\nx-injected: 1" }));
    proxy.intercept = (_request, response) =>
      response.writeHead(401, { "www-authenticate": `Bearer realm="http://${other.host}/token"` }).end();
    const pulled = pullImage(await newStore(), `${proxy.host}/team/image:1`, settings);
    await expect(pulled).rejects.toThrow(/answered something else than a token$/);
    await expect(pulled).rejects.not.toThrow(/hunter2/);
  });
});
