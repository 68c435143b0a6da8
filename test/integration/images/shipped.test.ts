import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeLayer } from "../../../worker/images/layer-tar.ts";
import { SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { buildShippedImage, type ShippedBuildEvent } from "../../../worker/images/shipped.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { StepContainers } from "../../../worker/step-containers.ts";

/** Ids that no worker of this machine has: the last ones of the range. */
const ID_BASE = 0x7f00_0000;

let directory: string;
let images: string;
let store: ImageStore;
let runner: StepContainers;
let debian: StoredImage;

/** One minimal Debian for all tests, from the real mirror; the images on top of it need no download. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-shipped-"));
  images = join(directory, "Dockerfiles");
  await mkdir(images);
  await cp(join(SHIPPED_IMAGES, "debian"), join(images, "debian"), { recursive: true });
  store = await ImageStore.open(join(directory, "images"));
  runner = new StepContainers({ dataDirectory: directory, idBase: ID_BASE });
  debian = await build("debian");
});

afterAll(async () => {
  await runner[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function build(
  name: string,
  onEvent: (image: string, event: ShippedBuildEvent) => void = () => undefined,
  signal?: AbortSignal,
): Promise<StoredImage> {
  return buildShippedImage(store, name, { runner, directory: images, onEvent, ...(signal && { signal }) });
}

async function addImage(name: string, ...lines: string[]): Promise<void> {
  await mkdir(join(images, name), { recursive: true });
  await writeFile(join(images, name, "Dockerfile"), lines.join("\n"));
}

function pathIn(image: StoredImage, name: string): string {
  const layer = image.layers.findLast(({ path }) => existsSync(join(path, name)));
  if (layer === undefined) throw new Error(`image ${image.reference} has no ${name}`);
  return join(layer.path, name);
}

/** Starts a build in a process of its own, as the `longshore` command does, and tells of its events by lines. */
function buildElsewhere(name: string) {
  const worker = join(import.meta.dirname, "../../../worker");
  const source = `
    import { buildShippedImage } from ${JSON.stringify(join(worker, "images/shipped.ts"))};
    import { ImageStore } from ${JSON.stringify(join(worker, "images/store.ts"))};
    import { StepContainers } from ${JSON.stringify(join(worker, "step-containers.ts"))};
    const store = await ImageStore.open(${JSON.stringify(store.directory)});
    await using runner = new StepContainers({ dataDirectory: ${JSON.stringify(directory)}, idBase: ${ID_BASE} });
    const onEvent = (image, { kind, text }) => console.log(kind, text);
    const { digest } = await buildShippedImage(store, ${JSON.stringify(name)}, { runner, directory: ${JSON.stringify(images)}, onEvent });
    console.log("digest", digest);
  `;
  return spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

describe("the base image", () => {
  it("has a user named sandbox with a home, and nothing of this host", async () => {
    expect(await readFile(pathIn(debian, "etc/passwd"), "utf8")).toMatch(/^sandbox:x:1000:1000::\/work:\/bin\/bash$/m);
    expect(await lstat(pathIn(debian, "work"))).toMatchObject({ uid: 1000, gid: 1000 });
    expect(await readFile(pathIn(debian, "etc/resolv.conf"), "utf8")).toBe("");
    expect(await readFile(pathIn(debian, "etc/hostname"), "utf8")).toBe("");
    const untouched = ["proc", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"].map((name) =>
      pathIn(debian, name),
    );
    // Package tools leave the empty files that they lock.
    const { stdout } = await promisify(execFile)("find", [
      ...untouched,
      "-size",
      "+0",
      "-type",
      "f",
      "-o",
      "-type",
      "c",
    ]);
    expect(stdout).toBe("");
  });

  it("has the digests of its layers' tars", async () => {
    for (const { path, digest, bytes } of debian.layers) {
      expect(await describeLayer(path)).toEqual({ diffId: digest, bytes });
    }
    expect(debian.config.rootfs.diff_ids).toEqual(debian.layers.map(({ digest }) => digest));
  });

  it("is not built again while its folder is the same", async () => {
    const events: ShippedBuildEvent[] = [];
    expect((await build("debian", (_, event) => events.push(event))).digest).toBe(debian.digest);
    expect(events).toEqual([]);
  });
});

describe("an image on top of it", () => {
  it("shares its layers, and is built again when one of them changes", async () => {
    await addImage("lower", "FROM debian", "USER root", "RUN echo 1 >/etc/version");
    await addImage("upper", "FROM lower", "RUN echo on top >/etc/top");
    const before = await build("upper");
    expect(before.layers.slice(0, debian.layers.length)).toEqual(debian.layers);
    await addImage("lower", "FROM debian", "USER root", "RUN echo 2 >/etc/version");
    const after = await build("upper");
    expect(await readFile(pathIn(before, "etc/version"), "utf8")).toBe("1\n");
    expect(await readFile(pathIn(after, "etc/version"), "utf8")).toBe("2\n");
    expect((await store.resolve("upper"))?.digest).toBe(after.digest);
  });

  it("may be built by several processes at once, which do it once", async () => {
    await addImage("shared", "FROM debian", "USER root", "RUN head -c 16 /dev/urandom >/etc/nonce");
    const outputs = await Promise.all(
      [1, 2, 3].map(async () => {
        const lines = await buildElsewhere("shared").stdout.setEncoding("utf8").toArray();
        return lines.join("").trim().split("\n");
      }),
    );
    expect(outputs.filter((lines) => lines.some((line) => line.startsWith("step RUN")))).toHaveLength(1);
    expect(new Set(outputs.map((lines) => lines.at(-1))).size).toBe(1);
    expect(outputs[0]?.at(-1)).toMatch(/^digest sha256:/);
  });

  it("is not there when its build was killed, and the next build succeeds", async () => {
    await addImage("victim", "FROM debian", "USER root", "RUN echo $$; touch /etc/half; exec tail -f /dev/null");
    const before = (await store.layers.list()).length;
    const child = buildElsewhere("victim");
    for await (const text of child.stdout.setEncoding("utf8")) if (/output \d+/.test(text)) break;
    child.kill("SIGKILL");
    await once(child, "exit");

    expect(await store.resolve("victim")).toBeUndefined();
    expect((await store.layers.list()).length).toBe(before);
    await addImage("victim", "FROM debian", "USER root", "RUN test ! -e /etc/half && touch /etc/whole");
    expect((await build("victim")).layers).toHaveLength(debian.layers.length + 1);
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(directory);
  });

  it("is not there when its build was aborted", async () => {
    await addImage("endless", "FROM debian", "RUN echo up; exec tail -f /dev/null");
    const controller = new AbortController();
    const aborted = build(
      "endless",
      (_, event) => event.kind === "output" && controller.abort(new Error("enough")),
      controller.signal,
    );
    await expect(aborted).rejects.toThrow("enough");
    expect((await readdir(join(store.directory, "staging"))).filter((name) => name.includes("endless"))).toEqual([]);
    expect(await store.resolve("endless")).toBeUndefined();
  });

  it("whose step fails says which, and what was printed", async () => {
    await addImage("failing", "FROM debian", "RUN echo the reason >&2; exit 3");
    await expect(build("failing")).rejects.toThrow(
      /image failing could not be built: failing\/Dockerfile:2: the command ended with exit code 3\n {2}the reason/,
    );
    expect(await store.resolve("failing")).toBeUndefined();
  });

  it("cannot start from itself, nor from what there is not", async () => {
    await addImage("egg", "FROM hen");
    await addImage("hen", "FROM egg");
    await expect(build("egg")).rejects.toThrow(/start from each other: egg from hen from egg/);
    await addImage("orphan", "FROM nothing");
    await expect(build("orphan")).rejects.toThrow(/there is no nothing\/Dockerfile: there are debian, /);
  });
});
