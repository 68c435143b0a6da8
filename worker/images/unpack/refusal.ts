/** What a layer can be too much for: see `LayerLimits` and `Allowance`. */
export type LayerLimit = "bytes" | "entries" | "image" | "store";

/**
 * A layer is not what it may be: malformed, beyond a limit, or hostile. The message says what is wrong with it, and at
 * which entry; whoever knows the layer adds its digest.
 */
export class LayerRefusal extends Error {
  override readonly name = "LayerRefusal";
  /** Undefined when it would be refused whatever the limits. */
  readonly limit: LayerLimit | undefined;

  constructor(message: string, { limit, ...options }: ErrorOptions & { readonly limit?: LayerLimit } = {}) {
    super(message, options);
    this.limit = limit;
  }
}

/** A path for people: control characters and quotes escaped, cut to what fits a line. Takes raw bytes (latin1). */
export function showPath(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString();
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
