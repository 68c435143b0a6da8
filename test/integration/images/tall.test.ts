/** Images of as many layers as there may be: stored, and run. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../shared/config.ts";
import type { Layer } from "../../../worker/container/spec.ts";
import type { LayerSource } from "../../../worker/images/addition.ts";
import { describeOwnLayer } from "../../../worker/images/described-layers.ts";
import { collectGarbage } from "../../../worker/images/garbage.ts";
import { packLayer } from "../../../worker/images/layer-tar.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { LAYERS_MAX } from "../../../worker/images/unpack/limits.ts";
import { TestSlot, text } from "../../support/container.ts";
import { addImageOf, layerOf } from "../../support/layer-sources.ts";
import { tarArchive } from "../../support/tar.ts";

let directory: string;
let store: ImageStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-tall-"));
  store = await ImageStore.open(join(directory, "images"));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** The layers of the machine's own image `bash`. */
async function layersOfBash(): Promise<LayerSource[]> {
  const machine = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
  const image = await machine.resolve("bash");
  if (image === undefined) throw new Error("image bash is not built: bash infra/setup.sh test");
  return image.layers.map((layer) => ({
    descriptor: describeOwnLayer(layer).descriptor,
    diffId: layer.digest,
    open: () => Readable.from(packLayer(layer.path)),
  }));
}

/** Layers that each add a file, delete that of the one before, and say nothing of the directory. */
function changes(count: number): LayerSource[] {
  return Array.from({ length: count }, (_, index) =>
    layerOf(
      tarArchive(
        ...(index === 0 ? [{ name: "opt/tall/", type: "5", mode: 0o750, uid: 1000, gid: 1000 }] : []),
        ...(index === 0 ? [] : [{ name: `opt/tall/.wh.only-${index - 1}` }]),
        { name: `opt/tall/only-${index}`, content: `${index}` },
        { name: `opt/tall/all-${index}`, content: `${index}` },
        { name: "opt/tall/topmost", content: `${index}` },
      ),
      "gzip",
    ),
  );
}

describe("an image of 127 layers", () => {
  it("is stored, and runs, with what each of its layers adds, deletes and leaves out", async () => {
    const base = await layersOfBash();
    const count = LAYERS_MAX - base.length;
    await using addition = await store.beginAddition();
    const { layers, lowerDirs } = await addImageOf(addition, "tall", [...base, ...changes(count)]);
    expect(layers).toHaveLength(127);
    await using slot = await TestSlot.open("bash");
    const result = await slot.run(
      slot.spec(
        [
          "/bin/bash",
          "-c",
          "cd /opt/tall; cat topmost; echo; ls | grep -c all-; ls -d only-*; stat -c %a:%u .; touch x",
        ],
        { layers: lowerDirs.map((path): Layer => ({ kind: "directory", path })) },
      ),
    );
    expect(text(result.stderr)).toBe("");
    expect(text(result.stdout)).toBe(`${count - 1}\n${count}\nonly-${count - 1}\n750:1000\n`);
    expect(result).toMatchObject({ outcome: "exited", exitCode: 0 });
  });
});

describe("an image of 128 layers", () => {
  it("is refused, and nothing of it stays", async () => {
    {
      await using addition = await store.beginAddition();
      const added = addImageOf(addition, "taller", changes(LAYERS_MAX + 1));
      await expect(added).rejects.toThrow("the image has 128 layers: 127 can be mounted");
    }
    expect(await store.resolve("taller")).toBeUndefined();
    expect(await collectGarbage(store)).toMatchObject({ layers: 128, bytesLeft: 0 });
  });
});
