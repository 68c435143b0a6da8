import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildImage, type BuildProgress } from "../../../worker/images/build.ts";
import { describeLayer, packLayer } from "../../../worker/images/layer-tar.ts";
import { RECIPES } from "../../../worker/images/recipe.ts";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";

let directory: string;
let recipes: string;
let store: ImageStore;
let debian: StoredImage;

/** One minimal Debian for all tests, from the real mirror; the images on top of it need no download. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-build-"));
  recipes = join(directory, "recipes");
  await mkdir(recipes);
  store = await ImageStore.open(join(directory, "images"));
  await addRecipe("debian", JSON.parse(await readFile(join(RECIPES, "debian/recipe.json"), "utf8")));
  debian = await buildImage(store, "debian", { recipes });
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function addRecipe(name: string, content: object): Promise<void> {
  await mkdir(join(recipes, name), { recursive: true });
  await writeFile(join(recipes, name, "recipe.json"), JSON.stringify({ name, ...content }));
}

function baseOf(image: StoredImage): string {
  const [lowest] = image.layers;
  if (lowest === undefined) throw new Error(`image ${image.reference} has no layer`);
  return lowest.path;
}

function topOf(image: StoredImage): string {
  const top = image.layers.at(-1);
  if (top === undefined) throw new Error(`image ${image.reference} has no layer`);
  return top.path;
}

/** Starts a build in a process of its own, as the `longshore` command does, and tells of its output by lines. */
function buildElsewhere(name: string) {
  const source = `
    import { buildImage } from ${JSON.stringify(join(import.meta.dirname, "../../../worker/images/build.ts"))};
    import { ImageStore } from ${JSON.stringify(join(import.meta.dirname, "../../../worker/images/store.ts"))};
    const store = await ImageStore.open(${JSON.stringify(store.directory)});
    const onProgress = ({ kind, text }) => console.log(kind, text);
    const { digest } = await buildImage(store, ${JSON.stringify(name)}, { recipes: ${JSON.stringify(recipes)}, onProgress });
    console.log("digest", digest);
  `;
  return spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

describe("the base image", () => {
  it("has a user named sandbox with a home, and nothing of this host", async () => {
    const root = baseOf(debian);
    expect(await readFile(join(root, "etc/passwd"), "utf8")).toMatch(/^sandbox:x:1000:1000::\/work:\/bin\/bash$/m);
    expect(await lstat(join(root, "work"))).toMatchObject({ uid: 1000, gid: 1000 });
    expect(await readFile(join(root, "etc/resolv.conf"), "utf8")).toBe("");
    expect(await readFile(join(root, "etc/hostname"), "utf8")).toBe("");
    const untouched = ["dev", "proc", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"].map((name) =>
      join(root, name),
    );
    const { stdout } = await promisify(execFile)("find", [...untouched, "-type", "f", "-o", "-type", "c"]);
    expect(stdout).toBe("");
  });

  it("has the digest of its layer's tar", async () => {
    const [layer] = debian.layers;
    expect(await describeLayer(baseOf(debian))).toEqual({ diffId: layer?.digest, bytes: layer?.bytes });
    expect(debian.config.rootfs.diff_ids).toEqual([layer?.digest]);
  });

  it("is not built again while its recipe is the same", async () => {
    const progress: BuildProgress[] = [];
    const again = await buildImage(store, "debian", { recipes, onProgress: (event) => progress.push(event) });
    expect(again.digest).toBe(debian.digest);
    expect(progress).toEqual([]);
  });
});

describe("an image on top of it", () => {
  it("shares its layer and adds one with the changes only", async () => {
    await addRecipe("greeter", {
      from: { recipe: "debian" },
      commands: ["echo hello >/etc/greeting"],
      environment: { GREETING: "1" },
    });
    const image = await buildImage(store, "greeter", { recipes });
    expect(image.layers).toHaveLength(2);
    expect(image.layers[0]).toEqual(debian.layers[0]);
    expect(await readFile(join(topOf(image), "etc/greeting"), "utf8")).toBe("hello\n");
    const { stdout } = await promisify(execFile)("find", [topOf(image), "-type", "f", "-printf", "%P\n"]);
    expect(stdout).toBe("etc/greeting\n");
    expect(image.config.config.Env).toContain("GREETING=1");
    expect(image.config.config.User).toBe("1000:1000");
  });

  it("is only another name for the same layers when it changes nothing", async () => {
    await addRecipe("alias", { from: { recipe: "debian" } });
    expect((await buildImage(store, "alias", { recipes })).layers).toEqual(debian.layers);
  });

  it("marks deletions in overlayfs's form on disk, and in OCI's form in its digest", async () => {
    const commands = ["rm /etc/issue", "rm -r /etc/skel", "mkdir /etc/skel", "touch -d @0 /etc/skel/new"];
    await addRecipe("eraser", { from: { recipe: "debian" }, commands });
    const top = topOf(await buildImage(store, "eraser", { recipes }));
    expect(await lstat(join(top, "etc/issue"))).toMatchObject({ rdev: 0 });
    expect((await lstat(join(top, "etc/issue"))).isCharacterDevice()).toBe(true);

    const archive = join(directory, "eraser.tar");
    await pipeline(packLayer(top), createWriteStream(archive));
    const { stdout: names } = await promisify(execFile)("tar", ["--list", "--file", archive]);
    expect(
      names
        .trim()
        .split("\n")
        .filter((name) => name.startsWith("./etc")),
    ).toEqual(["./etc/.wh.issue", "./etc/skel/.wh..wh..opq", "./etc/", "./etc/skel/", "./etc/skel/new"]);

    const mounted = join(directory, "mounted");
    await mkdir(mounted);
    const list = `mount -t overlay overlay -o lowerdir=${top}:${baseOf(debian)} ${mounted} && ls -A ${mounted}/etc/skel && ls ${mounted}/etc`;
    const { stdout } = await promisify(execFile)("unshare", ["--mount", "sh", "-c", list]);
    const [skel, ...etc] = stdout.trim().split("\n");
    expect(skel).toBe("new");
    expect(etc).toContain("passwd");
    expect(etc).not.toContain("issue");
  });

  it("is built again, with what is on top of it, when its recipe changes", async () => {
    await addRecipe("lower", { from: { recipe: "debian" }, commands: ["echo 1 >/etc/version"] });
    await addRecipe("upper", { from: { recipe: "lower" } });
    const before = await buildImage(store, "upper", { recipes });
    await addRecipe("lower", { from: { recipe: "debian" }, commands: ["echo 2 >/etc/version"] });
    const after = await buildImage(store, "upper", { recipes });
    expect(await readFile(join(topOf(before), "etc/version"), "utf8")).toBe("1\n");
    expect(await readFile(join(topOf(after), "etc/version"), "utf8")).toBe("2\n");
    expect((await store.resolve("upper"))?.digest).toBe(after.digest);
  });
});

describe("a build", () => {
  it("is done once by several processes that want the same image", async () => {
    await addRecipe("shared", { from: { recipe: "debian" }, commands: ["head -c 16 /dev/urandom >/etc/nonce"] });
    const outputs = await Promise.all(
      [1, 2, 3].map(async () => {
        const child = buildElsewhere("shared");
        const lines = await child.stdout.setEncoding("utf8").toArray();
        return lines.join("").trim().split("\n");
      }),
    );
    expect(outputs.filter((lines) => lines.includes("step storing its layer"))).toHaveLength(1);
    expect(new Set(outputs.map((lines) => lines.at(-1))).size).toBe(1);
    expect(outputs[0]?.at(-1)).toMatch(/^digest sha256:/);
  });

  it("that is killed leaves no image, no process and no mount, and the next one succeeds", async () => {
    await addRecipe("victim", {
      from: { recipe: "debian" },
      commands: ["[ -e /etc/ready ] || { echo $$; exec tail -f /dev/null; }"],
    });
    const before = (await store.layers.list()).length;
    const child = buildElsewhere("victim");
    for await (const text of child.stdout.setEncoding("utf8")) if (/output \d+/.test(text)) break;
    child.kill("SIGKILL");
    await once(child, "exit");

    expect(await store.resolve("victim")).toBeUndefined();
    expect((await store.layers.list()).length).toBe(before);
    await addRecipe("victim", { from: { recipe: "debian" }, commands: ["true"] });
    const image = await buildImage(store, "victim", { recipes });
    expect(image.layers).toHaveLength(2);
    expect(await readdir(join(store.directory, "staging"))).toEqual([]);
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(directory);
  });

  it("that is aborted ends with the reason, and leaves nothing", async () => {
    await addRecipe("endless", { from: { recipe: "debian" }, commands: ["echo up; exec tail -f /dev/null"] });
    const controller = new AbortController();
    const onProgress = ({ kind, text }: BuildProgress) =>
      kind === "output" && text === "up" && controller.abort(new Error("enough"));
    await expect(buildImage(store, "endless", { recipes, signal: controller.signal, onProgress })).rejects.toThrow(
      "enough",
    );
    expect(await readdir(join(store.directory, "staging"))).toEqual([]);
    expect(await store.resolve("endless")).toBeUndefined();
  });

  it("whose commands fail says what they printed", async () => {
    await addRecipe("failing", { from: { recipe: "debian" }, commands: ["echo the reason >&2; exit 3"] });
    await expect(buildImage(store, "failing", { recipes })).rejects.toThrow(
      /image failing could not be built: [^]*the reason/,
    );
    expect(await store.resolve("failing")).toBeUndefined();
  });

  it("of recipes that start from each other is refused", async () => {
    await addRecipe("egg", { from: { recipe: "hen" } });
    await addRecipe("hen", { from: { recipe: "egg" } });
    await expect(buildImage(store, "egg", { recipes })).rejects.toThrow(/start from each other: egg from hen from egg/);
  });
});
