import { chmod, mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limitOption } from "../../../services/cli/request-options.ts";
import { describeRequest } from "../../../services/cli/run-request.ts";
import { defaultMaxima, limitNames } from "../../../shared/limits.ts";
import { createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";

let directory: Awaited<ReturnType<typeof mkdtempDisposable>>;
const file = (name: string) => join(directory.path, name);

beforeAll(async () => {
  directory = await mkdtempDisposable(join(tmpdir(), "longshore-cli-"));
  await mkdir(file("data"));
  await writeFile(file("main.py"), "print('größer')\n");
  await writeFile(file("data/table.bin"), Buffer.from([0xff, 0x00]));
  await writeFile(file("tool"), "#!/bin/sh\n");
  await writeFile(file("latin1.py"), Buffer.from("print('gr\xf6\xdfer')", "latin1"));
  await chmod(file("tool"), 0o755);
});
afterAll(() => directory.remove());

describe("the request of longshore run", () => {
  it("guesses the language and sends the first file as source", async () => {
    expect(await describeRequest([file("main.py")], {}, ["a", "b"])).toEqual({
      language: "python",
      source: "print('größer')\n",
      arguments: ["a", "b"],
      files: [],
      environment: {},
      limits: {},
      outputs: [],
      rootfs: "writable",
    });
  });

  it("sends further files as they are: bytes, place, executable bit", async () => {
    const { files } = await describeRequest([file("main.py"), file("data/table.bin"), file("tool")], {}, []);
    expect(files).toEqual([
      { path: "table.bin", content: "/wA=", encoding: "base64", executable: false },
      { path: "tool", content: "#!/bin/sh\n", encoding: "utf8", executable: true },
    ]);
  });

  it("takes the words after -- as the command of an image", async () => {
    const request = await describeRequest([file("tool")], { image: "python" }, ["./tool", "-v"]);
    expect(request).toMatchObject({ image: "python", command: ["./tool", "-v"], files: [{ path: "tool" }] });
    expect(request).not.toHaveProperty("language");
    expect(await describeRequest([], { image: "python" }, [])).not.toHaveProperty("command");
  });

  it("has an option for every limit, and makes numbers of them", async () => {
    expect(limitNames.map(limitOption)).toContain("--cpu-time-ms");
    const { limits } = await describeRequest([file("main.py")], { cpus: "0.5", memoryBytes: "16777216" }, []);
    expect(limits).toEqual({ cpus: 0.5, memoryBytes: 16_777_216 });
  });

  it("names volumes, and leaves to the API what is not said of them", async () => {
    const volume = ["datasets:/data", "cache:/work/cache:rw"];
    const request = await describeRequest([file("main.py")], { volume }, []);
    expect(request["volumes"]).toEqual([
      { name: "datasets", at: "/data" },
      { name: "cache", at: "/work/cache", mode: "rw" },
    ]);
    expect(parseJobRequest(createJobRequestSchema(defaultMaxima), request)).toMatchObject({
      volumes: [{ mode: "ro" }, { mode: "rw" }],
    });
  });

  it("is one that the API takes", async () => {
    const options = {
      env: ["A=b=c"],
      output: ["out/*.xml"],
      readonly: true,
      priority: "high",
      wallTimeMs: "100",
    } as const;
    const request = await describeRequest([file("main.py"), file("tool")], options, []);
    const checked = parseJobRequest(createJobRequestSchema(defaultMaxima), request);
    expect(checked).toMatchObject({ environment: { A: "b=c" }, rootfs: "readonly", limits: { wallTimeMs: 100 } });
  });

  it.each([
    [
      "an ending that names no language",
      "tool",
      {},
      /the ending of .*tool names no language: add --language or --image/,
    ],
    ["a source that is not UTF-8", "latin1.py", {}, /latin1.py is not UTF-8/],
    ["a limit that is no number", "main.py", { cpus: "two" }, /--cpus two is not a number/],
    ["an environment variable without a value", "main.py", { env: ["HOME"] }, /--env HOME is not NAME=VALUE/],
    ["a volume without a place", "main.py", { volume: ["data"] }, /--volume data is not NAME:PATH, /],
    ["a volume with too much", "main.py", { volume: ["data:/a:ro:x"] }, /--volume data:\/a:ro:x is not NAME:PATH, /],
    ["a file that is not there", "absent.py", {}, /ENOENT/],
  ])("refuses %s", async (_, name, options, message) => {
    await expect(describeRequest([file(name)], options, [])).rejects.toThrow(message);
  });
});
