/**
 * A token server for docker-registry: gives out signed JSON web tokens, as
 * https://distribution.github.io/distribution/spec/auth/jwt/ describes them.
 */
import { execFile } from "node:child_process";
import { generateKeyPairSync, randomUUID, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";

export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  readonly service: string;
  /** PEM. */
  readonly certificate: string;
  /** The scopes of each request so far, with who asked. */
  readonly requests: { readonly account: string | undefined; readonly scopes: readonly string[] }[];
}

/** Who may do what: users by `user:password`, further ones by refresh token. Nobody may pull only. */
export interface Accounts {
  readonly passwords: ReadonlySet<string>;
  readonly refreshTokens: ReadonlySet<string>;
}

export async function startTokenServer(accounts: Accounts): Promise<TokenServer> {
  const service = "registry of the test";
  const { certificate, signToken } = await makeSigner();
  const requests: TokenServer["requests"] = [];
  const server = createServer((request, response) => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });

  async function answer(request: IncomingMessage): Promise<[number, object]> {
    const url = new URL(request.url ?? "/", "http://token");
    const form = request.method === "POST" ? new URLSearchParams(await text(request)) : url.searchParams;
    const scopes = form.getAll("scope").flatMap((scope) => scope.split(" "));
    const password = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const account = password && Buffer.from(password, "base64").toString();
    const refreshToken = form.get("refresh_token") ?? undefined;
    requests.push({ account: account ?? refreshToken, scopes });
    if (account !== undefined && !accounts.passwords.has(account))
      return [401, { errors: [{ code: "DENIED", message: "wrong password" }] }];
    if (refreshToken !== undefined && !accounts.refreshTokens.has(refreshToken))
      return [401, { errors: [{ code: "DENIED", message: "no such refresh token" }] }];
    const isKnown = account !== undefined || refreshToken !== undefined;
    const access = scopes.map((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",").filter((action) => isKnown || action === "pull") };
    });
    return [200, { [isKnown ? "token" : "access_token"]: signToken(service, access), expires_in: 300 }];
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    service,
    certificate,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function makeSigner() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const directory = await mkdtemp(join(tmpdir(), "longshore-token-"));
  try {
    const key = join(directory, "key.pem");
    await writeFile(key, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const request = ["req", "-x509", "-new", "-key", key, "-subj", "/CN=longshore test", "-days", "2"];
    const { stdout: certificate } = await promisify(execFile)("openssl", request);
    const header = { typ: "JWT", alg: "ES256", x5c: [new X509Certificate(certificate).raw.toString("base64")] };
    const signToken = (audience: string, access: readonly object[]): string => {
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        iss: "test",
        sub: "",
        aud: audience,
        exp: now + 300,
        nbf: now - 60,
        iat: now,
        jti: randomUUID(),
      };
      const signed = [header, { ...claims, access }].map((part) => base64url(JSON.stringify(part))).join(".");
      const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return `${signed}.${base64url(signature)}`;
    };
    return { certificate, signToken };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function base64url(content: string | Buffer): string {
  return Buffer.from(content).toString("base64url");
}
