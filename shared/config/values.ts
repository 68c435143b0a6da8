/** What a value of the configuration may look like: each schema reads the text of a variable. */
import { isIP } from "node:net";
import * as z from "zod";

/** A whole number in decimal digits. */
export function whole(minimum: number, maximum: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}$/, { error: "is not a whole number" })
    .transform(Number)
    .pipe(z.int().min(minimum).max(maximum));
}

/** A number in decimal digits with up to six decimals. */
export function decimal(minimum: number, maximum: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}(\.\d{1,6})?$/, { error: "is not a decimal number" })
    .transform(Number)
    .pipe(z.number().min(minimum).max(maximum));
}

/** For variables whose absence has a meaning of its own; absent is the same as empty. */
export function optional<Value>(schema: z.ZodType<Value, string>): z.ZodType<Value | undefined, string> {
  return z.string().transform((text, context) => {
    if (text === "") return undefined;
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    for (const { message } of parsed.error.issues) context.addIssue({ code: "custom", message, input: text });
    return z.NEVER;
  });
}

/** A URL of one of these protocols. */
export function urlOf(...protocols: readonly string[]): z.ZodType<string, string> {
  return z.string().refine((text) => protocols.some((name) => text.startsWith(`${name}://`)) && URL.canParse(text), {
    error: `is not a URL that starts with ${protocols.map((name) => `${name}://`).join(" or ")}`,
  });
}

/** An address or a name to listen on. */
export const hostSchema = z
  .string()
  .refine((host) => isIP(host) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$/.test(host), {
    error: "is neither an address nor a host name",
  });

/** SHA-256 hashes in hex, comma separated; empty is none. */
export const apiKeysSchema = z
  .string()
  .transform((text) => (text === "" ? [] : text.split(",").map((hash) => hash.trim().toLowerCase())))
  .pipe(z.array(z.string().regex(/^[0-9a-f]{64}$/, { error: "has something else than SHA-256 hashes in hex" })));

/** `os/arch` or `os/arch/variant`, in the words of the OCI image specification. */
export const platformSchema = z
  .string()
  .regex(/^linux\/[a-z0-9]+(\/v\d{1,2}(\.\d{1,2})?)?$/, {
    error: "is not a platform such as linux/amd64 or linux/arm/v7",
  })
  .transform((text) => {
    const [os = "", architecture = "", variant] = text.split("/");
    return { os, architecture, variant };
  });

/** `host` or `host:port`, as registries are written in the names of images. */
const registrySchema = z.string().regex(/^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/, {
  error: "names a registry in another form than host or host:port, in lower case",
});

/** Items separated by commas; empty is none. */
const list = z.string().transform((text) => (text === "" ? [] : text.split(",").map((item) => item.trim())));

/** Registries, comma separated. */
export const registriesSchema = list.pipe(z.array(registrySchema));

/** `registry=mirror`, comma separated; mirrors of one registry are tried in this order. */
export const mirrorsSchema = list
  .pipe(
    z.array(
      z
        .string()
        .transform((item) => item.split("="))
        .pipe(z.tuple([registrySchema, registrySchema], { error: "is not of the form registry=mirror" })),
    ),
  )
  .transform((pairs): ReadonlyMap<string, readonly string[]> => {
    const mirrors = new Map<string, string[]>();
    for (const [registry, mirror] of pairs) mirrors.set(registry, [...(mirrors.get(registry) ?? []), mirror]);
    return mirrors;
  });

/** Where blobs live. */
export type BlobLocation =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "s3"; readonly bucket: string; readonly prefix: string }
  | { readonly kind: "api"; readonly url: string };

/** A directory, `s3://bucket/prefix`, or the URL of an API that has the blobs. */
export const blobLocationSchema = z.string().transform((text, context): BlobLocation => {
  if (text.startsWith("/")) return { kind: "directory", path: text };
  // A bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens.
  const [, bucket, prefix = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[\w.-]+)*)\/?$/.exec(text) ?? [];
  if (bucket !== undefined) return { kind: "s3", bucket, prefix: prefix.slice(1) };
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return { kind: "api", url: text };
  const message = "is neither an absolute path nor s3://BUCKET/PREFIX nor the URL of an API";
  context.addIssue({ code: "custom", message, input: text });
  return z.NEVER;
});
