/** `/docs`: the description as a page. Everything it needs comes from here, so it works without the internet. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Response } from "express";
import * as z from "zod";
import { LongshoreError } from "../../../shared/errors.ts";
import { parameterOf, type Route } from "../route.ts";

/** Nothing inline, nothing from elsewhere; the page's icons are data: URLs of its style sheet. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Longshore API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
    <link rel="icon" href="/docs/favicon-32x32.png" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const START = `window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
`;

interface Asset {
  readonly type: string;
  readonly content: string | Buffer;
}

/** The few files of the page, read once. */
function loadAssets(): ReadonlyMap<string, Asset> {
  const require = createRequire(import.meta.url);
  const directory = dirname(require.resolve("swagger-ui-dist/package.json"));
  const read = (name: string): Buffer => readFileSync(join(directory, name));
  return new Map<string, Asset>([
    ["swagger-ui.css", { type: "text/css; charset=utf-8", content: read("swagger-ui.css") }],
    ["swagger-ui-bundle.js", { type: "text/javascript; charset=utf-8", content: read("swagger-ui-bundle.js") }],
    ["favicon-32x32.png", { type: "image/png", content: read("favicon-32x32.png") }],
    ["start.js", { type: "text/javascript; charset=utf-8", content: START }],
  ]);
}

export function docsRoutes(): Route[] {
  const assets = loadAssets();
  const text = (description: string) => ({ "200": { description } });
  return [
    {
      method: "get",
      path: "/docs",
      operation: {
        summary: "This description as a page",
        operationId: "getDocs",
        tags: ["operation"],
        responses: text("an HTML page"),
      },
      errors: [],
      async handle(_request, response) {
        send(response, { type: "text/html; charset=utf-8", content: PAGE });
      },
    },
    {
      method: "get",
      path: "/docs/{asset}",
      operation: {
        summary: "A file of the page",
        operationId: "getDocsAsset",
        tags: ["operation"],
        requestParams: { path: z.object({ asset: z.enum([...assets.keys()]) }) },
        responses: text("the file"),
      },
      errors: ["not_found"],
      async handle(request, response) {
        const asset = assets.get(parameterOf(request, "asset"));
        if (asset === undefined) throw new LongshoreError("not_found");
        response.set("cache-control", "max-age=3600");
        send(response, asset);
      },
    },
  ];
}

function send(response: Response, asset: Asset): void {
  response.set({ "content-security-policy": CONTENT_SECURITY_POLICY, "content-type": asset.type }).send(asset.content);
}
