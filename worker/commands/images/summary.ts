import type { StoredImage } from "../../images/store.ts";

/** What lists say of an image. */
export interface ImageSummary {
  readonly reference: string;
  readonly digest: string;
  /** RFC 3339. */
  readonly created: string | undefined;
  readonly layers: number;
  /** Of the uncompressed layers. */
  readonly bytes: number;
}

export function summarize({ reference, digest, config, layers }: StoredImage): ImageSummary {
  return {
    reference,
    digest,
    created: config.created,
    layers: layers.length,
    bytes: layers.reduce((sum, layer) => sum + layer.bytes, 0),
  };
}

/** Says on stdout which image there is now. @param remarks what else there is to say of it */
export function printImage(image: StoredImage, ...remarks: readonly string[]): void {
  const { reference, digest, layers, bytes } = summarize(image);
  console.log([`${reference}: ${digest}`, `${layers} layers`, megabytes(bytes), ...remarks].join(", "));
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
