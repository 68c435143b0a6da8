import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { copyToRegistry, inspect, makeImage } from "../../support/registry/sample-images.ts";

const PROGRAM = join(import.meta.dirname, "../../../services/cli/longshore.ts");
let directory: string;
let registry: DockerRegistry;
let proxy: Proxy;
let digest: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-commands-"));
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  await copyToRegistry(await makeImage(directory, "image", [2_000_000, 10]), `${registry.host}/a:1`);
  ({ Digest: digest } = await inspect(`${registry.host}/a:1`));
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const environment = () => ({ ...process.env, LONGSHORE_DATA: join(directory, "data"), DOCKER_CONFIG: directory });

function longshore(...words: string[]) {
  return promisify(execFile)(process.execPath, [PROGRAM, "images", ...words], { env: environment() });
}

it("longshore images pulls by its registry's name, tells of it in lines, and pushes what it pulled", async () => {
  const pulled = await longshore("pull", `${registry.host}/a:1`);
  expect(pulled.stdout).toBe(`${registry.host}/a:1: ${digest}, 2 layers, 2.0 MB\n`);
  expect(pulled.stderr.split("\n").filter((line) => / done, /.test(line))).toHaveLength(2);
  expect(pulled.stderr).not.toContain("\u001b");

  const pushed = await longshore("push", `${registry.host}/a:1`, `${registry.host}/b:2`);
  expect(pushed.stdout).toBe(`${registry.host}/b:2: ${digest}\n`);
  expect((await inspect(`${registry.host}/b:2`)).Digest).toBe(digest);
  expect((await longshore("push", `${registry.host}/a:1`)).stderr).toContain("there already");
});

it("longshore images shows a bar for each layer in a terminal", async () => {
  // script(1) gives it a terminal, of no size.
  const command = `stty columns 120 rows 40; ${process.execPath} ${PROGRAM} images pull ${registry.host}/a:1`;
  const env = { ...environment(), LONGSHORE_DATA: join(directory, "terminal"), TERM: "xterm" };
  const { stdout } = await promisify(execFile)("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env,
  });
  expect(stdout.match(/sha256:[0-9a-f]{12} █{30} done, /g)?.length).toBeGreaterThanOrEqual(2);
});

it("longshore images fails with one line that says why", async () => {
  const missing = longshore("pull", `${registry.host}/missing:1`);
  await expect(missing).rejects.toMatchObject({ code: 1, stdout: "" });
  await expect(missing).rejects.toMatchObject({
    stderr: expect.stringMatching(/^manifest of [^\n]*not found[^\n]*\n$/),
  });
  await expect(longshore("push", "nothing")).rejects.toMatchObject({
    stderr: "image nothing is not here: longshore images list shows those that are\n",
  });
  await expect(longshore("pull", "http://a/b")).rejects.toMatchObject({
    stderr: expect.stringContaining("write it without a protocol"),
  });
});

it("longshore images ends at SIGTERM, and leaves no half layer", async () => {
  const data = join(directory, "interrupted");
  const stalled = Promise.withResolvers<void>();
  proxy.intercept = (request, response, forward) => {
    if (request.url?.includes("/blobs/") !== true) return forward();
    // Promises bytes that never come.
    response.writeHead(200).flushHeaders();
    stalled.resolve();
  };
  const child = spawn(process.execPath, [PROGRAM, "images", "pull", `${proxy.host}/a:1`], {
    env: { ...environment(), LONGSHORE_DATA: data },
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.once("exit", () => stalled.reject(new Error("it ended before its first blob")));
  await stalled.promise;
  child.kill("SIGTERM");
  const [[exitCode], errors] = await Promise.all([once(child, "exit"), child.stderr.setEncoding("utf8").toArray()]);
  expect(exitCode).toBe(1);
  expect(errors.join("").trim().split("\n").at(-1)).toBe("interrupted");
});
