/** `longshore images …` as its users have it: a store of its own, a real registry, exit codes and texts. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bareEnvironment } from "../../support/environment.ts";
import { runCommand } from "../../support/longshore.ts";
import { publishBase } from "../../support/registry/base-image.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { tarArchive } from "../../support/tar.ts";

const PROGRAM = join(import.meta.dirname, "../../../worker/commands/images.ts");
const DIGEST = /sha256:[0-9a-f]{64}/;

let directory: string;
let registry: DockerRegistry;
let base: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-images-command-"));
  registry = await startRegistry();
  base = await publishBase(registry.host);
});

afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

interface Said {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a sub-command on the store of this name. */
async function images(words: readonly string[], store = "store"): Promise<Said> {
  const environment = { LONGSHORE_DATA: join(directory, store), DOCKER_CONFIG: directory };
  const { stdout, ...rest } = await runCommand(["images", ...words], { environment });
  return { ...rest, stdout: stdout.toString() };
}

/** Runs the program that `longshore images` becomes, on an empty store. */
async function program(words: readonly string[]): Promise<Said> {
  const environment = { ...bareEnvironment(), LONGSHORE_DATA: join(directory, "empty") };
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, [PROGRAM, ...words], { env: environment }, (_error, stdout, stderr) =>
      resolve({ exitCode: child.exitCode, stdout, stderr }),
    );
  });
}

/** As {@link images}, of what has to succeed; returns what it printed. */
async function done(words: readonly string[], store?: string): Promise<string> {
  const { exitCode, stdout, stderr } = await images(words, store);
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  return stdout;
}

/** As {@link images}, of what has to fail; returns what it said of that. */
async function failure(words: readonly string[], store?: string): Promise<string> {
  const { exitCode, stdout, stderr } = await images(words, store);
  expect([exitCode, stdout]).toEqual([1, ""]);
  return stderr;
}

const digestIn = (text: string): string => DIGEST.exec(text)?.[0] ?? expect.fail(`there is no digest in ${text}`);

/** Makes a directory of files by path. */
async function files(name: string, contents: Readonly<Record<string, string>>): Promise<string> {
  const path = join(directory, name);
  for (const [file, content] of Object.entries(contents)) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), content);
  }
  return path;
}

const WITH_EXAMPLES = ["build", "pull", "push", "commit", "import", "export"];

describe("longshore images", () => {
  it("without a command lists what is here, which is nothing at first", async () => {
    expect(await done([], "empty")).toMatch(/^no images: build one of bash, /);
    expect(await done(["list", "--json"], "empty")).toBe("[]\n");
  });

  it("helps, and names each command", async () => {
    const help = await done(["--help"]);
    for (const name of "list build pull push commit import export inspect history rm gc".split(" "))
      expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
    expect((await program(["build", "--help"])).stdout).not.toContain("{}");
    const helps = await Promise.all(WITH_EXAMPLES.map(async (name) => (await program([name, "--help"])).stdout));
    for (const [index, name] of WITH_EXAMPLES.entries())
      expect(helps[index]).toMatch(new RegExp(`Examples:\\n(.*\\n)*.*longshore images ${name} `));
  });

  it.concurrent.each([
    [["frobnicate"], "error: there is no frobnicate: see longshore images --help\n"],
    [["rm"], "error: missing required argument 'image'\n"],
    [["rm", "nothing"], "image nothing is not here: longshore images list shows those that are\n"],
    [["inspect", "nothing"], "image nothing is not here: longshore images list shows those that are\n"],
    [["history", "nothing"], "image nothing is not here: longshore images list shows those that are\n"],
    [["export", "nothing", "-o", "-"], "image nothing is not here: longshore images list shows those that are\n"],
    [["export", "nothing"], "error: required option '-o, --output <path>' not specified\n"],
    [["build"], /^say what to build: CONTEXT -t NAME, --all, or some of bash, /],
    [["build", "nothing"], /^no image nothing comes with Longshore, only bash, .* build nothing -t NAME\n$/],
    [["build", "python", "."], /^no image \. comes with Longshore, .*: longshore images build \. -t NAME\n$/],
    [["build", "python", "--network", "host", "--no-cache"], /^without -t, --network, --no-cache would mean nothing: /],
    [["build", "one", "two", "-t", "x"], /^a build with -t takes one context: /],
    [["build", ".", "--all", "-t", "x"], /^a build with -t takes one context: /],
    [["build", ".", "-t", "Upper"], /^"Upper" is no image reference: names of repositories are lower case\n/],
    [["build", ".", "-t", `sha256:${"0".repeat(64)}`], /is a digest: give the image a name/],
    [["build", ".", "-t", "x", "--network", "bridge"], /a bridge would need .* see SECURITY.md: use none or host\n/],
    [["build", ".", "-t", "x", "--build-arg", "NOT_THERE"], /NOT_THERE is not in the environment: write NOT_THERE=val/],
    [["build", "/nowhere", "-t", "x"], "there is no /nowhere/Dockerfile: name the Dockerfile with -f\n"],
    [["import", "/nowhere"], "there is no /nowhere: name an OCI layout or a tar\n"],
    [["import", PROGRAM], /images\.ts cannot be read as a tar: \w/],
    [["commit", "job", "Upper"], /is no image reference/],
    [["commit", "job", "name"], /no layer of job job is kept in .*: .* the worker that its result names/],
  ])("%j fails with a line that says why", async (words, message) => {
    const { exitCode, stdout, stderr } = await program(words);
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toEqual(typeof message === "string" ? message : expect.stringMatching(message));
    expect(stderr).not.toContain("    at ");
  });
});

describe("a pulled image", () => {
  it("is listed, inspected, and has a history", async () => {
    const pulled = await done(["pull", base]);
    expect(pulled).toMatch(new RegExp(`^${base}: ${DIGEST.source}, \\d+ layers, [\\d.]+ MB\\n$`));
    expect(await done([])).toContain(`${base}  ${digestIn(pulled).slice(0, 19)}`);
    const [listed] = JSON.parse(await done(["list", "--json"])) as Record<string, unknown>[];
    expect(listed).toMatchObject({ reference: base, digest: digestIn(pulled) });

    const [inspected] = JSON.parse(await done(["inspect", base])) as {
      digest: string;
      layers: { diffId: string; bytes: number; path: string }[];
      config: { rootfs: { diff_ids: string[] } };
    }[];
    expect(inspected).toMatchObject({ reference: base, digest: digestIn(pulled) });
    expect(inspected?.layers.map(({ diffId }) => diffId)).toEqual(inspected?.config.rootfs.diff_ids);
    for (const { path } of inspected?.layers ?? []) expect((await readdir(path)).length).toBeGreaterThan(0);
    const history = (await done(["history", base, "--no-trunc"])).trim().split("\n");
    expect(history.length).toBeGreaterThanOrEqual(inspected?.layers.length ?? 0);
  });

  it("is not transferred again", async () => {
    const before = registry.log.length;
    const { stderr } = await images(["pull", base]);
    expect(stderr).toContain("there already");
    await expect.poll(() => registry.log.slice(before).some(({ url }) => url.includes("/manifests/"))).toBe(true);
    expect(registry.log.slice(before).filter(({ url }) => url.includes("/blobs/"))).toEqual([]);
  });
});

describe("longshore images build", () => {
  const greeting = "hello from the context\n";
  const dockerfile = () =>
    [
      `ARG BASE=${base}`,
      "FROM $BASE AS made",
      "USER root",
      "ARG WORD=none",
      "RUN <<EOF\necho $WORD >/word\nEOF",
      "FROM $BASE",
      "LABEL of=tests",
      "COPY --from=made /word /from/",
      "COPY --chown=7:8 --chmod=0640 greeting /greeting",
      'ENTRYPOINT ["cat"]',
      'CMD ["/greeting"]',
    ].join("\n");

  it("makes an image of a context, step by step, and of the same context the same image out of its cache", async () => {
    const context = await files("context", { Dockerfile: dockerfile(), greeting });
    const words = ["build", context, "-t", "tools:1", "-t", "tools:latest", "--build-arg", "WORD=given"];
    const first = await images(words);
    expect([first.exitCode, first.stdout]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^tools:1: ${DIGEST.source}, \\d+ layers, [\\d.]+ MB, [\\d.]+ s\\n$`)),
    ]);
    expect(first.stderr).toContain("tools:1: [1/");
    expect(first.stderr).not.toContain("cached");
    const again = await images(words);
    expect(digestIn(again.stdout)).toBe(digestIn(first.stdout));
    expect(again.stderr.match(/cached/g)).toHaveLength(3);
    const anew = await images([...words, "--no-cache"]);
    expect(anew.stderr).not.toContain("cached");

    const [{ config } = { config: undefined }] = JSON.parse(await done(["inspect", "tools:latest"])) as {
      config: { config: object };
    }[];
    expect(config?.config).toMatchObject({ Entrypoint: ["cat"], Cmd: ["/greeting"], Labels: { of: "tests" } });
    expect(await done(["history", "tools:1"])).toContain("COPY --chown=7:8 --chmod=0640 greeting /greeting");
  });

  it("stops at a stage, takes another Dockerfile, and warns of an argument that nobody takes", async () => {
    const context = await files("context", { "other.Dockerfile": dockerfile(), greeting });
    const options = ["-f", join(context, "other.Dockerfile"), "--target", "made", "--build-arg", "NOBODY=1"];
    const { exitCode, stderr } = await images(["build", context, "-t", "staged:1", ...options]);
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("no ARG takes the build argument NOBODY")]);
    expect(await done(["history", "staged:1"])).not.toContain("COPY --from");
  });

  it.concurrent.each([
    ["an instruction that there is not", "FROM scratch\nFETCH x /", "Dockerfile:2: unknown instruction FETCH"],
    ["one that is not supported", "FROM scratch\n\nONBUILD RUN x", "Dockerfile:3: ONBUILD is not supported"],
    ["a flag that is not", "FROM scratch\nRUN --mount=type=cache,target=/x y", "Dockerfile:2: RUN --mount is not supp"],
    ["a download", "FROM scratch\nADD https://example.org/x /", "Dockerfile:2: ADD https://example.org/x: nothing is"],
    ["a file that is not there", "FROM scratch\nCOPY nothing /", "Dockerfile:2: there is no nothing in the context"],
    [
      "an image that is not here",
      "FROM nobody/has:1",
      "Dockerfile:1: image nobody/has:1 is not here: longshore images",
    ],
    [
      "a COPY from one",
      "FROM scratch\n\nCOPY --from=nobody/has:1 /x /",
      "Dockerfile:3: image nobody/has:1 is not here",
    ],
    [
      "a flag of another one",
      "FROM scratch\nADD --checksum=x y /",
      "ADD --checksum is not supported: it takes --chown",
    ],
    ["more network than is given", "FROM scratch\nRUN --network=host x", "goes beyond what this build may do"],
    ["no FROM", "RUN true", "Dockerfile:1: RUN stands before the first FROM"],
  ])("says the line that has %s", async (fault, text, message) => {
    const context = await files(fault.replaceAll(" ", "-"), { Dockerfile: text });
    const { exitCode, stderr } = await program(["build", context, "-t", "refused", "--pull", "never"]);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  it("says what a step printed that fails, and its exit code", async () => {
    const context = await files("failing", { Dockerfile: `FROM ${base}\nRUN echo about to fail; exit 7\n` });
    const said = await failure(["build", context, "-t", "failing"]);
    expect(said).toMatch(/Dockerfile:2: .*7/);
    expect(said).toContain("about to fail");
  });
});

describe("longshore images export and import", () => {
  it("carry images from store to store, as tar, over a pipe, and as directory, and keep their digests", async () => {
    const digest = digestIn(await done(["list", "--json"]).then(findTools));
    await done(["export", "tools:1", "-o", join(directory, "tools.tar")]);
    await done(["export", "tools:1", base, "-o", join(directory, "layout")]);
    expect(await done(["import", join(directory, "tools.tar")], "from-tar")).toMatch(
      new RegExp(`^tools:1: ${digest}, \\d+ layers, [\\d.]+ MB\\n$`),
    );
    const both = await done(["import", join(directory, "layout")], "from-layout");
    expect(both.split("\n").map((line) => line.split(": ")[0])).toEqual(["tools:1", base, ""]);
    const piped = await runCommand(["images", "export", "tools:1", "-o", "-"], {
      environment: { LONGSHORE_DATA: join(directory, "store") },
    });
    expect(piped.stdout.equals(await readFile(join(directory, "tools.tar")))).toBe(true);
    const back = await runCommand(["images", "import", "-"], {
      environment: { LONGSHORE_DATA: join(directory, "from-pipe") },
      stdin: piped.stdout,
    });
    expect([back.exitCode, digestIn(back.stdout.toString())]).toEqual([0, digest]);
  });

  const findTools = (json: string): string =>
    (JSON.parse(json) as { reference: string; digest: string }[]).find(({ reference }) => reference === "tools:1")
      ?.digest ?? "";

  it("take a root file system, which has to be named", async () => {
    const tar = join(directory, "rootfs.tar");
    await writeFile(tar, tarArchive({ name: "etc/", type: "5", mode: 0o755 }, { name: "etc/motd", content: "hello" }));
    expect(await failure(["import", tar], "rootfs")).toContain(
      "does not say what its image is called: say it with --n",
    );
    expect(await done(["import", tar, "--name", "bare:1"], "rootfs")).toMatch(/^bare:1: sha256:\w+, 1 layers, /);
    expect(await failure(["import", tar, "--name", "Bare"], "rootfs")).toContain("is no image reference");
  });

  it("leave nothing of what fails", async () => {
    const broken = (await readFile(join(directory, "tools.tar"))).subarray(0, 1_000_000);
    await writeFile(join(directory, "broken.tar"), broken);
    await failure(["import", join(directory, "broken.tar"), "--name", "broken:1"], "broken");
    expect(await done(["list", "--json"], "broken")).toBe("[]\n");
    expect(await failure(["export", base, "-o", join(directory, "layout")])).toContain(
      "is not empty: name another dir",
    );
    expect(await failure(["export", base, "-o", join(directory, "no/where.tar")])).toContain("ENOENT");
  });
});

describe("longshore images push", () => {
  it("sends what the registry has not, which its own log tells", async () => {
    const before = registry.log.length;
    const name = `${registry.host}/team/tools:1`;
    const pushed = await done(["push", "tools:1", name]);
    expect(pushed).toMatch(new RegExp(`^${name}: ${DIGEST.source}\\n$`));
    const logged = (method: string) => registry.log.slice(before).filter((request) => request.method === method);
    await expect.poll(() => logged("PUT").some(({ url }) => url.includes("/manifests/"))).toBe(true);
    const [{ layers = [] } = {}] = JSON.parse(await done(["inspect", base])) as {
      layers?: { blob: { digest: string } }[];
    }[];
    // All that is the base's was taken over from its repository.
    const mounted = logged("POST").flatMap(({ url, status }) =>
      url.includes("mount=") && status === 201 ? [url] : [],
    );
    for (const { blob } of layers)
      expect(mounted.some((url) => decodeURIComponent(url).includes(`mount=${blob.digest}&from=base`))).toBe(true);
    const sent = logged("PUT").filter(({ url }) => url.includes("/uploads/"));
    for (const { blob } of layers)
      expect(sent.some(({ url }) => url.includes(encodeURIComponent(blob.digest)))).toBe(false);
    expect(sent.length).toBeGreaterThan(0);
  });

  it("says why it cannot", async () => {
    expect(await failure(["push", "nothing"])).toContain("image nothing is not here");
    expect(await failure(["push", "tools:1", `${registry.host}/Upper:1`])).toContain("is no image reference");
    expect(await failure(["push", "tools:1", `${registry.host}/x@sha256:${"0".repeat(64)}`])).toContain(
      "cannot be pushed as",
    );
  });
});

describe("longshore images rm and gc", () => {
  it("remove a name, and with the last one what only that image needed", async () => {
    expect(await done(["rm", "tools:latest"])).toMatch(/^tools:latest: removed\n\d+ layers and \d+ blobs removed, /);
    expect(await failure(["inspect", "tools:latest"])).toContain("is not here");
    const digest = digestIn(await done(["inspect", "tools:1"]));
    const removed = await done(["rm", digest]);
    expect(removed).toMatch(/^tools:1: removed\n/);
    await done(["rm", "staged:1", base]);
    expect(await done(["gc"])).toMatch(/^0 layers and \d+ blobs removed, 0\.0 MB left\n$/);
    expect(await readdir(join(directory, "store/images/layers/sha256"))).toEqual([]);
    expect(await done([])).toMatch(/^no images: /);
  });
});
