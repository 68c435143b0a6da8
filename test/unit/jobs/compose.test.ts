import { describe, expect, it } from "vitest";
import { createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { defaultMaxima, type Limits, limitTable } from "../../../shared/limits.ts";
import { loadPresets, resolveRequest, SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { composeRun } from "../../../worker/jobs/compose.ts";
import { imageConfig, storedImage } from "./sample.ts";

const presets = loadPresets(SHIPPED_IMAGES);
const schema = createJobRequestSchema(defaultMaxima);

const user = { uid: 1000, gid: 1000, groups: [5], home: "/home/app" };

function compose(
  body: Record<string, unknown>,
  maxima: Limits = defaultMaxima,
  image = storedImage(),
  inputs: readonly string[] = [],
) {
  const request = resolveRequest(parseJobRequest(schema, body), presets, maxima);
  if (request.kind !== "run") throw new TypeError("only runs are composed");
  const preset = request.language === undefined ? undefined : presets.get(request.language);
  return composeRun(request, { image, inputs, preset, volumes: new Map(), user }, maxima);
}

const text = (content: Uint8Array | undefined) => Buffer.from(content ?? []).toString();

describe("a request with an image and a command", () => {
  const body = { image: "tool", command: ["sh", "-c", "cat"], arguments: ["x"], stdin: "in", outputs: ["a"] };

  it("is one container of the image's layers, lowest first", () => {
    const { build, run } = compose(body);
    expect(build).toBeUndefined();
    expect(run.layers).toEqual([
      { kind: "directory", path: "/layers/low" },
      { kind: "directory", path: "/layers/high" },
    ]);
  });

  it("has the layers that the job brings over those of the image", () => {
    const { run } = compose(body, defaultMaxima, storedImage(), ["/inputs/low", "/inputs/high"]);
    const paths = ["/layers/low", "/layers/high", "/inputs/low", "/inputs/high"];
    expect(run.layers).toEqual(paths.map((path) => ({ kind: "directory", path })));
  });

  it("runs its command with its arguments, input, limits and outputs", () => {
    const { run } = compose({ ...body, limits: { processes: 3 } });
    expect(run.command).toEqual(["sh", "-c", "cat", "x"]);
    expect(text(run.stdin)).toBe("in");
    expect(run.outputs).toEqual(["a"]);
    expect(run.limits.processes).toBe(3);
    expect(run.limits.wallTimeMs).toBe(limitTable.wallTimeMs.default);
    expect(run.workingDirectory).toBe("/work");
    expect(run.keepLayerAs).toBeUndefined();
  });

  it("keeps what its program writes where that is wanted, and what its build writes", () => {
    expect(compose({ ...body, keepLayer: true }).run.keepLayerAs).toBe("run");
    const { build, run } = compose({ language: "c", source: "", keepLayer: true });
    expect([build?.keepLayerAs, run.keepLayerAs]).toEqual(["build", "run"]);
  });

  it("gets the image's user and environment, with its own variables over them", () => {
    const { run } = compose({ ...body, environment: { LANG: "C", EXTRA: "1" } });
    expect(run.user).toEqual({ uid: 1000, gid: 1000, groups: [5] });
    expect(run.environment).toEqual({ HOME: "/home/app", PATH: "/usr/bin:/bin", LANG: "C", EXTRA: "1" });
  });

  it("runs what the image says when it names no command", () => {
    expect(compose({ image: "tool" }).run.command).toEqual(["/entry"]);
    expect(compose({ image: "tool", arguments: ["x"] }).run.command).toEqual(["/entry", "x"]);
  });

  it("works where the image says, unless it says itself", () => {
    const image = { ...storedImage(), config: imageConfig({ WorkingDir: "/srv", Cmd: ["x"] }) };
    expect(compose({ image: "tool" }, defaultMaxima, image).run.workingDirectory).toBe("/srv");
    expect(compose({ image: "tool", workingDirectory: "/" }, defaultMaxima, image).run.workingDirectory).toBe("/");
    const files = [{ path: "a", content: "" }];
    const readonly = { image: "tool", rootfs: "readonly" };
    expect(compose(readonly, defaultMaxima, image).run.workingDirectory).toBe("/srv");
    expect(() => compose({ ...readonly, files }, defaultMaxima, image)).toThrow(
      "its WorkingDir /srv cannot take files",
    );
    const hidden = { ...storedImage(), config: imageConfig({ WorkingDir: "/proc/self", Cmd: ["x"] }) };
    expect(() => compose({ image: "tool" }, defaultMaxima, hidden)).toThrow("its WorkingDir /proc/self is at or below");
  });

  it("decodes its files and keeps their modes", () => {
    const files = [{ path: "a/b", content: "/w==", encoding: "base64", executable: true }];
    const { run } = compose({ ...body, files });
    expect(run.files).toEqual([{ path: "a/b", content: Buffer.from([0xff]), executable: true }]);
  });
});

describe("a request in an interpreted language", () => {
  it("puts the source where the preset's command looks for it", () => {
    const { build, run } = compose({ language: "python", source: "print(1)", arguments: ["a"] });
    expect(build).toBeUndefined();
    expect(run.command).toEqual(["python3", "main.py", "a"]);
    expect(run.files.map(({ path, content }) => [path, text(content)])).toEqual([["main.py", "print(1)"]]);
  });
});

describe("a request in a compiled language", () => {
  const body = {
    language: "c",
    source: "int main;",
    files: [{ path: "in.txt", content: "1" }],
    stdin: "in",
    outputs: ["o"],
  };

  it("builds in a container that has the files, but neither input nor outputs", () => {
    const { build } = compose(body);
    expect(build?.command[0]).toBe("gcc");
    expect(build?.files.map(({ path }) => path)).toEqual(["main.c", "in.txt"]);
    expect(build?.stdin).toHaveLength(0);
    expect(build?.outputs).toEqual([]);
    expect(build?.rootfs).toBe("writable");
  });

  it("runs over the layer that the build leaves, which has the files already", () => {
    const { build, run } = compose(body);
    expect(run.layers.at(-1)).toEqual({ kind: "kept", name: build?.keepLayerAs });
    expect(run.layers.slice(0, -1)).toEqual(build?.layers);
    expect(run.files).toEqual([]);
    expect(run.command).toEqual(["./main"]);
    expect(run.workingDirectory).toBe(build?.workingDirectory);
    expect(text(run.stdin)).toBe("in");
  });

  it("gives the build the preset's limits, cut to what the server grants, and the run the request's", () => {
    const { build, run } = compose({ ...body, limits: { cpuTimeMs: 7 } });
    expect(build?.limits).toMatchObject({ cpuTimeMs: 30_000, wallTimeMs: 60_000, memoryBytes: 2 ** 30 });
    expect(run.limits.cpuTimeMs).toBe(7);
    const cut = compose(body, { ...defaultMaxima, memoryBytes: 2 ** 28 });
    expect(cut.build?.limits.memoryBytes).toBe(2 ** 28);
  });

  it("builds elsewhere for a read-only root, whose working directory is covered by a tmpfs", () => {
    const { build, run } = compose({ ...body, rootfs: "readonly" });
    expect(build?.rootfs).toBe("writable");
    expect(run.rootfs).toBe("readonly");
    expect(build?.workingDirectory).not.toBe(run.workingDirectory);
    expect(run.command).toEqual([`${build?.workingDirectory}/main`]);
    expect(run.files.map(({ path }) => path)).toEqual(["main.c", "in.txt"]);
  });
});
