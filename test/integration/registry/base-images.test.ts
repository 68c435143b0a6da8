/** Builds whose Dockerfiles start from images of a registry. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { copyToRegistry, makeImage } from "../../support/registry/sample-images.ts";

const PROGRAM = join(import.meta.dirname, "../../../services/cli/longshore.ts");
let directory: string;
let registry: DockerRegistry;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-bases-"));
  registry = await startRegistry();
  await copyToRegistry(await makeImage(directory, "base", [1000]), `${registry.host}/base:1`);
  await copyToRegistry(await makeImage(directory, "files", [2000]), `${registry.host}/files:1`);
});

afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Builds by the command, in a store of its own. @returns what it printed */
async function build(store: string, dockerfile: string, ...options: string[]) {
  const context = join(directory, "context");
  await mkdir(context, { recursive: true });
  await writeFile(join(context, "Dockerfile"), dockerfile);
  const words = [PROGRAM, "images", "build", context, "-t", "made:1", ...options];
  const env = { ...process.env, LONGSHORE_DATA: join(directory, store), DOCKER_CONFIG: directory };
  return promisify(execFile)(process.execPath, words, { env });
}

const manifestsAsked = (): number => registry.log.filter(({ url }) => url.includes("/manifests/")).length;

describe("a build that starts from an image of a registry", () => {
  it("pulls it where it is not here, and what it copies from, and tells how far it is", async () => {
    const dockerfile = `FROM ${registry.host}/base:1\nCOPY --from=${registry.host}/files:1 /layer-0/file-0 /copied\n`;
    const { stdout, stderr } = await build("pulls", dockerfile);
    expect(stdout).toMatch(/^made:1: sha256:\w{64}, 2 layers, /);
    expect(stderr).toMatch(/\/base:1: sha256:\w{64}, 1 blobs[^]* done, [^]*\/files:1: [^]*\[1\/2\] FROM /);
    const before = manifestsAsked();
    const imageOf = (printed: string): string | undefined => printed.split(",")[0];
    expect(imageOf((await build("pulls", dockerfile)).stdout)).toBe(imageOf(stdout));
    expect(manifestsAsked()).toBe(before);
  });

  it("asks for it again, and takes what its name means now, if it always is to", async () => {
    const dockerfile = `FROM ${registry.host}/moving:1\nENV A=1\n`;
    await copyToRegistry(await makeImage(directory, "old", [10]), `${registry.host}/moving:1`);
    const digest = async (...options: string[]) => (await build("moves", dockerfile, ...options)).stdout.split(",")[0];
    const first = await digest();
    await copyToRegistry(await makeImage(directory, "new", [20]), `${registry.host}/moving:1`);
    expect(await digest()).toBe(first);
    const moved = await digest("--pull", "always");
    expect(moved).not.toBe(first);
    expect(await digest("--pull", "never")).toBe(moved);
  });

  it("asks nobody if it never is to", async () => {
    const before = manifestsAsked();
    await expect(build("never", `FROM ${registry.host}/base:1\n`, "--pull", "never")).rejects.toMatchObject({
      stdout: "",
      stderr: expect.stringMatching(
        /Dockerfile:1: image \S+\/base:1 is not here: longshore images pull \S+\/base:1, or /,
      ),
    });
    expect(manifestsAsked()).toBe(before);
  });

  it("fails before its first step, at the line that names what cannot be had", async () => {
    const missing = `FROM scratch\nCOPY Dockerfile /\nCOPY --from=${registry.host}/missing:1 /a /b\n`;
    await expect(build("missing", missing)).rejects.toMatchObject({
      stderr: expect.stringMatching(/^[^\n]*Dockerfile:3: manifest of \S+\/missing:1: [^\n]*not found[^\n]*\n$/),
    });
    await expect(build("missing", "FROM No/Reference\n")).rejects.toMatchObject({
      stderr: expect.stringMatching(/Dockerfile:1: "No\/Reference" is no image reference: /),
    });
    await expect(build("missing", `FROM sha256:${"0".repeat(64)}\n`)).rejects.toMatchObject({
      stderr: expect.stringMatching(/Dockerfile:1: image sha256:0+ is not here, and a digest does not say where it is/),
    });
  });
});
