/** Ways into the API, and ways to keep it from others. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../../services/api/route.ts";
import { StorageAccess, type StorageMethod } from "../../shared/blobs/access.ts";
import type { Digest } from "../../shared/digest.ts";
import { program, type RunningApi, startApi } from "../support/api.ts";
import { startRedis } from "../support/redis.ts";

/** Who may use a route: everyone; holders of a key; those of an administrator's; processes of the installation. */
type Rule = "open" | "key" | "administrator" | "installation";

/** A rule for every route: a new one without a rule fails. */
const RULES: Readonly<Record<string, Rule>> = {
  "post /v1/jobs": "key",
  "get /v1/jobs/{id}": "key",
  "delete /v1/jobs/{id}": "key",
  "get /v1/jobs/{id}/events": "key",
  "get /v1/jobs/{id}/report.xml": "key",
  "get /v1/jobs/{id}/outputs/{path*}": "key",
  "put /v1/blobs": "key",
  "get /v1/blobs/{digest}": "key",
  "delete /v1/blobs/{digest}": "key",
  "get /internal/blobs/{digest}": "installation",
  "put /internal/blobs/{digest}": "installation",
  "get /v1/languages": "key",
  "get /v1/images": "key",
  "post /v1/images": "administrator",
  "get /v1/images/{reference*}": "key",
  "delete /v1/images/{reference*}": "administrator",
  "get /v1/workers": "key",
  "get /healthz": "open",
  "get /readyz": "open",
  "get /metrics": "open",
  "get /docs": "open",
  "get /docs/{asset}": "open",
  "get /openapi.json": "open",
};

const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
const digest: Digest = `sha256:${"0".repeat(64)}`;

const resources = new AsyncDisposableStack();
let api: RunningApi;
beforeAll(async () => {
  const redis = await startRedis();
  resources.defer(() => redis.stop());
  api = resources.use(
    await startApi(redis.url, {
      LONGSHORE_API_KEYS: sha256("client"),
      LONGSHORE_ADMIN_KEYS: sha256("administrator"),
    }),
  );
});
afterAll(() => resources.disposeAsync());

const pathOf = ({ path }: Route): string => path.replaceAll("{digest}", digest).replaceAll(/\{\w+\*?\}/g, "x");

/** Whether a route lets a request through to what it does, whatever comes of that. */
async function letsThrough(route: Route, authorization: string | undefined): Promise<boolean> {
  const headers = authorization === undefined ? {} : { authorization };
  const response = await api.fetch(pathOf(route), { method: route.method.toUpperCase(), headers });
  await response.body?.cancel();
  return response.status !== 401 && response.status !== 403;
}

describe("every route", () => {
  test("has a rule that says who may use it, and every rule a route", () => {
    const routes = api.api.routes.map(({ method, path }) => `${method} ${path}`);
    expect(routes.toSorted()).toEqual(Object.keys(RULES).toSorted());
  });

  test("lets through whom its rule says, and nobody else", async () => {
    const access = new StorageAccess(api.api.redis, "longshore");
    for (const route of api.api.routes) {
      const method = route.method.toUpperCase() as StorageMethod;
      const other: StorageMethod = method === "PUT" ? "GET" : "PUT";
      const seen = {
        stranger: await letsThrough(route, undefined),
        guesser: await letsThrough(route, "Bearer client2"),
        "holder of a hash": await letsThrough(route, `Bearer ${sha256("client")}`),
        client: await letsThrough(route, "Bearer client"),
        administrator: await letsThrough(route, "Bearer administrator"),
        process: await letsThrough(route, await access.authorize(method, digest)),
        "process that may do something else": await letsThrough(route, await access.authorize(other, digest)),
        "process that may have another blob": await letsThrough(
          route,
          await access.authorize(method, `sha256:${"1".repeat(64)}`),
        ),
      };
      const rule = RULES[`${route.method} ${route.path}`];
      expect([route.path, seen]).toEqual([
        route.path,
        {
          stranger: rule === "open",
          guesser: rule === "open",
          "holder of a hash": rule === "open",
          client: rule === "open" || rule === "key",
          administrator: rule !== "installation",
          process: rule === "open" || rule === "installation",
          "process that may do something else": rule === "open",
          "process that may have another blob": rule === "open",
        },
      ]);
    }
  });
});

describe("a method that a route does not have", () => {
  const methods = [
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "get",
    "X",
  ];

  test.each([
    ["a stranger", undefined, "open"],
    ["a client", "client", "open key"],
    ["an administrator", "administrator", "open key administrator"],
  ] as const)("leads %s nowhere, whatever it is", async (_, key, rules) => {
    const authorization = key === undefined ? [] : [`Authorization: Bearer ${key}`];
    const opened: string[] = [];
    for (const path of new Set(api.api.routes.map(pathOf))) {
      for (const method of methods) {
        const status = statusOf(
          await exchange(request(`${method} ${path} HTTP/1.1`, ...authorization, "Content-Length: 0")),
        );
        const meant = method === "HEAD" ? "get" : method.toLowerCase();
        const route = api.api.routes.find((one) => pathOf(one) === path && one.method === meant);
        const isAllowed = route !== undefined && rules.includes(RULES[`${route.method} ${route.path}`] ?? "none");
        if (!isAllowed && !(status >= 400)) opened.push(`${method} ${path}: ${status}`);
      }
    }
    expect(opened).toEqual([]);
  });
});

/** What a server answers to bytes, once it has let go of the connection by itself. */
async function exchange(bytes: string): Promise<string> {
  const socket = dial();
  socket.write(bytes);
  return await answerOn(socket);
}

/** A server that has said enough may reset the connection: what came before counts. */
async function answerOn(socket: Socket): Promise<string> {
  let answer = "";
  socket.setEncoding("latin1").on("data", (piece: string) => (answer += piece));
  await new Promise((resolve) => void socket.once("close", resolve));
  return answer;
}

function dial(): Socket {
  const { port } = new URL(api.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.on("error", () => undefined);
  return socket;
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);

const request = (line: string, ...headers: string[]): string =>
  [line, "Host: localhost", "Connection: close", ...headers, "", ""].join("\r\n");

describe("a stranger gets nowhere", () => {
  test.each([
    ...["//v1/workers", "/v1//workers", "/./v1/workers", "/docs/../v1/workers", "/docs/%2e%2e/v1/workers"],
    ...[
      "/V1/workers",
      "/v1/Workers",
      "/v1%2fworkers",
      "/%76%31/workers",
      "/v1/workers/",
      "/v1/workers?",
      "/v1/workers;",
    ],
    ...["/v1/workers%00", "/v1/workers%20", "/v1\\workers", "/\\v1/workers", "/v1/workers#", "//localhost/v1/workers"],
    ...[
      "http://localhost/v1/workers",
      "http://localhost:1/v1/workers",
      "/healthz/../v1/workers",
      "/healthz;/v1/workers",
    ],
    ...[
      "/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
      "/docs/..%5c..%5cpackage.json",
      "/docs/swagger-ui.css/../../package.json",
    ],
    ...["/internal/blobs/..%2f..%2fv1%2fworkers", `/internal/blobs/${digest}/../../../v1/workers`, "*", "/v1/jobs/%ff"],
  ])("by the path %s", async (path) => {
    const status = statusOf(await exchange(request(`GET ${path} HTTP/1.1`)));
    expect([400, 401, 404]).toContain(status);
  });

  test.each(["X-Original-URL: /v1/workers", "X-Rewrite-URL: /v1/workers", "X-HTTP-Method-Override: GET"])(
    "by the header %s",
    async (header) => {
      const answer = await exchange(request("GET /healthz HTTP/1.1", header));
      expect(answer).toContain('"status":"ok"');
      expect(answer).not.toContain("workers");
    },
  );

  test.each([
    ["Authorization: Bearer client, Bearer client"],
    ["Authorization: Bearer"],
    ["Authorization: bearer\tclient2"],
    ["Authorization: Bearer wrong", "Authorization: Bearer client"],
    ["Cookie: authorization=Bearer client", "X-Forwarded-For: 127.0.0.1"],
  ])("by %s %s", async (...headers) => {
    expect(statusOf(await exchange(request("GET /v1/workers HTTP/1.1", ...headers.filter(Boolean))))).toBe(401);
  });
});

describe("a request that two servers could read differently", () => {
  test.each([
    ["two lengths", "Content-Length: 5\r\nContent-Length: 6"],
    ["a length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked"],
    ["a length with a sign", "Content-Length: +5"],
    ["a length that is none", "Content-Length: 5a"],
    ["an unknown encoding", "Transfer-Encoding: chunked, identity"],
    ["a header that is folded", "X-A: b\r\n c"],
    ["a header with a space before its colon", "Content-Length : 5"],
    ["a header with a NUL", "X-A: b\0c"],
  ])("with %s is refused, and what follows it is no request", async (_, header) => {
    const smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const answer = await exchange(`POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n0\r\n\r\n${smuggled}`);
    expect(statusOf(answer)).toBe(400);
    expect(answer).not.toContain('"status":"ok"');
  });
});

describe("floods", () => {
  test.each([
    ["a long header", `X-A: ${"a".repeat(20_000)}`],
    ["thousands of headers", Array.from({ length: 2500 }, (_, index) => `X-${index}: a`).join("\r\n")],
    ["a long path", ""],
  ])("by %s is refused before it is read", async (what, header) => {
    const path = header === "" ? `/${"a".repeat(20_000)}` : "/healthz";
    expect([what, statusOf(await exchange(request(`GET ${path} HTTP/1.1`, header)))]).toEqual([what, 431]);
  });

  test("of headers without end are cut off", async () => {
    const socket = dial();
    socket.write("GET /healthz HTTP/1.1\r\n");
    const flood = setInterval(() => socket.write(`X-A: ${"a".repeat(1000)}\r\n`.repeat(100)), 1);
    const answer = await answerOn(socket);
    clearInterval(flood);
    expect(answer).not.toContain("200 OK");
    expect((await api.fetch("/healthz")).status).toBe(200);
  });

  test("of connections that never finish a request keep nobody else from being served", async () => {
    const begun = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    const slow = [begun, `${begun}Authorization: Bearer client\r\nContent-Length: 100\r\n\r\n{`, ""];
    const sockets = Array.from({ length: 600 }, dial);
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    for (const [index, socket] of sockets.entries()) socket.write(slow[index % slow.length] ?? "");
    const response = await api.post(program, { headers: { authorization: "Bearer client" } });
    expect(response.status).toBe(202);
    for (const socket of sockets) socket.destroy();
  });

  test.each([
    ["POST /v1/jobs", 401],
    ["PUT /v1/blobs", 401],
    ["POST /nothing", 404],
    ["GET /healthz", 200],
  ])("of a body that nobody wants end soon after the answer to %s", async (line, status) => {
    const socket = dial();
    socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n{`);
    const drip = setInterval(() => socket.write(" "), 100);
    const answer = await answerOn(socket);
    clearInterval(drip);
    expect(statusOf(answer)).toBe(status);
  });
});
