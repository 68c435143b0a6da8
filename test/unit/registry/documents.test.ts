import { describe, expect, it } from "vitest";
import { readDocument } from "../../../worker/images/registry/documents.ts";

const digest = `sha256:${"a".repeat(64)}`;
const oci = "application/vnd.oci.image";
const docker = "application/vnd.docker";
const layer = { mediaType: `${oci}.layer.v1.tar+gzip`, digest, size: 2 };
const image = { schemaVersion: 2, config: { mediaType: `${oci}.config.v1+json`, digest, size: 1 }, layers: [layer] };
const index = { schemaVersion: 2, manifests: [{ mediaType: `${oci}.manifest.v1+json`, digest, size: 3 }] };

function read(document: unknown, contentType: string | null = null) {
  return readDocument(JSON.stringify(document), contentType, "manifest of a");
}

describe("a document of a registry", () => {
  it.each([
    ["image", image, `${oci}.manifest.v1+json`],
    ["image", { ...image, mediaType: `${oci}.manifest.v1+json` }, null],
    ["image", { ...image, mediaType: `${docker}.distribution.manifest.v2+json` }, "text/plain"],
    ["image", image, "application/json; charset=utf-8"],
    ["index", index, `${oci}.index.v1+json; charset=utf-8`],
    ["index", { ...index, mediaType: `${docker}.distribution.manifest.list.v2+json` }, null],
  ])("is an %s by its own type, its header's, or its form", (kind, document, contentType) => {
    expect(read(document, contentType)).toMatchObject({ kind });
  });

  it("keeps what it says beyond what we know", () => {
    const read2 = read({ ...image, subject: { digest }, layers: [{ ...layer, annotations: { a: "b" } }] });
    expect(read2).toMatchObject({ manifest: { subject: { digest }, layers: [{ annotations: { a: "b" } }] } });
  });

  it.each([
    ["of schema 1", { schemaVersion: 1, fsLayers: [] }, /schema 1, obsolete since 2017: push the image again/],
    ["of schema 1 by its type", { mediaType: `${docker}.distribution.manifest.v1+prettyjws` }, /schema 1/],
    ["that is two things at once", { ...image, ...index }, /ambiguous/],
    [
      "of an unknown type",
      { schemaVersion: 2, mediaType: "text/html\u001b[2J" },
      /unknown media type text\/html \[2J$/,
    ],
    ["that is an artifact", { ...image, config: { ...image.config, mediaType: "application/vnd.helm" } }, /no image/],
    ["with layers kept elsewhere", { ...image, layers: [{ ...layer, urls: ["https://a"] }] }, /kept elsewhere/],
    ["without a digest", { ...image, layers: [{ ...layer, digest: "sha256:../.." }] }, /layers.0.digest/],
    ["with sha512", { ...image, config: { ...image.config, digest: `sha512:${"a".repeat(128)}` } }, /sha256/],
    ["with a negative size", { ...image, layers: [{ ...layer, size: -1 }] }, /layers.0.size/],
    ["with too many layers", { ...image, layers: Array.from({ length: 128 }, () => layer) }, /malformed: layers/],
    ["that is a number", 7, /unknown media type/],
    ["that is null", null, /unknown media type/],
  ])("%s is refused", (_, document, message) => {
    expect(() => read(document)).toThrow(message);
  });

  it("that is not JSON is refused", () => {
    expect(() => readDocument("<html>", "text/html", "manifest of a")).toThrow("manifest of a: is not JSON");
  });
});
