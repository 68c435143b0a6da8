/** Layers as somebody would pack them who wants to get out of the directory that they are unpacked into. */
import * as fc from "fast-check";
import { type TarFields, tarArchive } from "../support/tar.ts";
import { damaged } from "./values.ts";

/** Few names, so that entries meet each other: what is a directory for one is a symlink for the next. */
const name = fc
  .array(
    fc.constantFrom(
      "a",
      "b",
      "up",
      "link",
      "..",
      ".",
      "",
      ".wh.a",
      ".wh..wh..opq",
      ".wh.",
      "\xff",
      "x".repeat(101),
      "etc",
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join("/"));
const path = fc.oneof(
  name,
  name.map((text) => `/${text}`),
  name.map((text) => `${text}/`),
);
const target = fc.oneof(
  path,
  fc.constantFrom("..", "../..", "../../..", "/", "/etc/passwd", "../outside", "/proc/self/root", "", "a\0b"),
);

const pax = fc.dictionary(
  fc.constantFrom(
    ...["path", "linkpath", "size", "uid", "gid", "mtime", "comment", "GNU.sparse.major"],
    ...["SCHILY.xattr.user.a", "SCHILY.xattr.security.capability", "SCHILY.xattr.trusted.overlay.opaque"],
    ...["SCHILY.xattr.trusted.overlay.redirect", "SCHILY.xattr.user.\0", "SCHILY.xattr."],
  ),
  fc.oneof(
    path,
    fc.constantFrom(
      "0",
      "-1",
      "70000",
      "1.5",
      "-0.1",
      "9".repeat(15),
      "9".repeat(30),
      "../outside",
      "/etc/passwd",
      "y",
    ),
  ),
  { maxKeys: 2 },
);

const entry: fc.Arbitrary<TarFields> = fc
  .record(
    {
      name: path,
      type: fc.constantFrom("0", "1", "2", "3", "4", "5", "6", "7", "\0", "g", "x", "L", "K", "S", "Z"),
      linkName: target,
      mode: fc.constantFrom(0, 0o644, 0o4755, 0o7777),
      uid: fc.constantFrom(0, 1000, 65_535, 65_536),
      mtime: fc.constantFrom(0, 1_000_000_000, 8 ** 11 - 1),
      device: fc.constantFrom([0, 0], [1, 3], [8, 1], [4095, 1_048_575]) as fc.Arbitrary<[number, number]>,
      content: fc.constantFrom("", "x", "y".repeat(600)),
      prefix: fc.constantFrom("", "a", "..", "/"),
      pax,
    },
    { requiredKeys: ["name", "type"] },
  )
  .map(({ content = "", ...fields }) =>
    // What is no file has no content, or the entry would be refused for that alone.
    Object.assign(fields, { content: ["1", "2", "3", "4", "5", "6"].includes(fields.type) ? "" : content }),
  );

/** Whole archives, and damaged ones. */
export const archives: fc.Arbitrary<Buffer> = fc
  .array(entry, { minLength: 1, maxLength: 8 })
  .map((entries) => tarArchive(...entries))
  .chain((archive) =>
    fc.oneof({ weight: 4, arbitrary: fc.constant(archive) }, { weight: 1, arbitrary: damaged(archive) }),
  );
