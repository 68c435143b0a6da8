import { expect, it } from "vitest";
import { digestOf } from "../../../worker/images/digest.ts";
import type { StoredLayer } from "../../../worker/images/layers.ts";
import { MediaType } from "../../../worker/images/oci.ts";
import { totalUsage, usageOf } from "../../../worker/images/usage.ts";

const built = (name: string, bytes: number): StoredLayer => ({ digest: digestOf(name), path: `/${name}`, bytes });
const pulled = (name: string, bytes: number, size: number): StoredLayer => ({
  ...built(name, bytes),
  blob: { mediaType: `${MediaType.layer}+gzip`, digest: digestOf(`${name}.gz`), size },
});

function image(name: string, ...layers: readonly StoredLayer[]): Parameters<typeof usageOf>[0][number] {
  const described = layers.map(
    ({ digest, bytes, blob }) => blob ?? { mediaType: MediaType.layer, digest, size: bytes },
  );
  const config = { mediaType: MediaType.config, digest: digestOf(`${name}.config`), size: 1 };
  return { digest: digestOf(name), layers, manifest: { schemaVersion: 2, config, layers: described } };
}

const base = built("base", 100);
const python = image("python", base, built("python", 20));
const tool = image("tool", base, pulled("tool", 7, 3), pulled("tool", 7, 3));

it("an image takes what it shares with others and what is its own; a layer that it has twice counts once", () => {
  const usage = usageOf([python, tool]);
  expect(usage.get(python.digest)).toEqual({ bytes: 120, sharedBytes: 100, ownBytes: 20 });
  expect(usage.get(tool.digest)).toEqual({ bytes: 107, sharedBytes: 100, ownBytes: 7 });
});

it("an image does not share with itself by another name", () => {
  const usage = usageOf([python, python]);
  expect([...usage]).toEqual([[python.digest, { bytes: 120, sharedBytes: 0, ownBytes: 120 }]]);
});

it("all images take each layer once, and the blobs that were pulled", () => {
  expect(totalUsage([python, tool, python])).toEqual({ layers: 3, bytes: 127, blobBytes: 3 });
  expect(totalUsage([])).toEqual({ layers: 0, bytes: 0, blobBytes: 0 });
});
