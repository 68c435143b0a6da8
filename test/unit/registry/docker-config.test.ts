import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DockerConfigCredentials, dockerConfigPath } from "../../../worker/images/registry/docker-config.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-docker-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function configure(config: unknown): Promise<DockerConfigCredentials> {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  await writeFile(join(directory, "config.json"), text);
  return new DockerConfigCredentials({ DOCKER_CONFIG: directory, PATH: `${directory}:${process.env["PATH"]}` });
}

/** Installs a program that prints `answer` for `server`, and says that it knows no other. */
async function installHelper(name: string, script: string): Promise<void> {
  const path = join(directory, `docker-credential-${name}`);
  await writeFile(path, `#!/bin/sh\n[ "$1" = get ] || exit 2\nread -r server\n${script}\n`);
  await chmod(path, 0o755);
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("the configuration of docker", () => {
  it("is in DOCKER_CONFIG, or else in the home directory", () => {
    expect(dockerConfigPath({ DOCKER_CONFIG: "/etc/docker", HOME: "/root" })).toBe("/etc/docker/config.json");
    expect(dockerConfigPath({ HOME: "/home/a" })).toBe("/home/a/.docker/config.json");
  });

  it("that is missing holds no credentials", async () => {
    const nowhere = new DockerConfigCredentials({ DOCKER_CONFIG: join(directory, "missing") });
    expect(await nowhere.find("docker.io")).toBeUndefined();
    expect(await (await configure({})).find("docker.io")).toBeUndefined();
  });

  it("holds passwords and tokens by registry, whose port counts", async () => {
    const credentials = await configure({
      auths: {
        "localhost:5000": { auth: base64("ann:p:w") },
        "https://ghcr.io/v2/": { username: "bob", password: "b" },
        "cloud.example": { auth: base64("00000000:"), identitytoken: "refresh" },
        "empty.example": {},
      },
    });
    expect(await credentials.find("localhost:5000")).toEqual({ kind: "password", username: "ann", password: "p:w" });
    expect(await credentials.find("ghcr.io")).toEqual({ kind: "password", username: "bob", password: "b" });
    expect(await credentials.find("cloud.example")).toEqual({ kind: "identity", token: "refresh" });
    for (const other of ["empty.example", "localhost", "localhost:5001", "hcr.io", "constructor", "__proto__"])
      expect(await credentials.find(other)).toBeUndefined();
  });

  it("calls Docker Hub by the name that it had once", async () => {
    const credentials = await configure({ auths: { "https://index.docker.io/v1/": { auth: base64("ann:pw") } } });
    expect(await credentials.find("docker.io")).toMatchObject({ username: "ann" });
  });

  it("names a program to ask, for one registry or for all others", async () => {
    await installHelper("one", `echo "{\\"Username\\":\\"one\\",\\"Secret\\":\\"$server\\"}"`);
    await installHelper("all", `echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"$server\\"}"`);
    const credentials = await configure({ credsStore: "all", credHelpers: { "ghcr.io": "one" } });
    expect(await credentials.find("ghcr.io")).toEqual({ kind: "password", username: "one", password: "ghcr.io" });
    expect(await credentials.find("docker.io")).toEqual({ kind: "identity", token: "https://index.docker.io/v1/" });
  });

  it("is read itself when the program knows nothing", async () => {
    await installHelper("none", "echo credentials not found in native keychain; exit 1");
    const credentials = await configure({ credsStore: "none", auths: { "ghcr.io": { auth: base64("ann:pw") } } });
    expect(await credentials.find("ghcr.io")).toMatchObject({ username: "ann" });
    expect(await credentials.find("quay.io")).toBeUndefined();
  });

  it.each([
    ["is not installed", undefined, /docker-credential-x cannot be run: install it/],
    ["fails", "echo hunter2; exit 3", /docker-credential-x ended with exit code 3/],
    ["prints no credentials", "echo hunter2", /printed something else than credentials/],
    ["prints without end", "yes hunter2", /ended with SIGKILL/],
  ])("says so when the program %s, without its output", async (_, script, message) => {
    if (script !== undefined) await installHelper("x", script);
    const found = (await configure({ credsStore: "x" })).find("ghcr.io");
    await expect(found).rejects.toThrow(message);
    await expect(found).rejects.not.toThrow(/hunter2/);
  });

  it.each([
    ["not JSON", `{"auths": {"ghcr.io": {"auth": "hunter2"}}`],
    ["of another form", { auths: { "ghcr.io": "hunter2" } }],
    ["naming a program by path", { credsStore: "../../bin/hunter2" }],
  ])("that is %s is refused without quoting it", async (_, config) => {
    const found = (await configure(config)).find("ghcr.io");
    await expect(found).rejects.toThrow(/config.json is not a configuration of docker/);
    await expect(found).rejects.not.toThrow(/hunter2/);
  });

  it("with a password that is not base64 of user:password is refused", async () => {
    const credentials = await configure({ auths: { "ghcr.io": { auth: base64("hunter2") } } });
    await expect(credentials.find("ghcr.io")).rejects.toThrow(/not base64 of user:password: log in again$/);
  });

  it("is read at each question: a login works at once", async () => {
    const credentials = await configure({});
    expect(await credentials.find("ghcr.io")).toBeUndefined();
    await mkdir(directory, { recursive: true });
    await configure({ auths: { "ghcr.io": { auth: base64("ann:pw") } } });
    expect(await credentials.find("ghcr.io")).toMatchObject({ username: "ann" });
  });
});
