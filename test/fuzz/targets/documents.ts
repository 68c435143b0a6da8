/** Documents of images and registries, and filters of system calls. */
import * as fc from "fast-check";
import type * as z from "zod";
import { seccompProfileSchema } from "../../../worker/container/seccomp/schema.ts";
import { imageConfig, imageManifest } from "../../../worker/images/oci.ts";
import { readDocument } from "../../../worker/images/registry/documents.ts";
import { RegistryError } from "../../../worker/images/registry/registry-error.ts";
import {
  commandOf,
  environmentOf,
  UnusableImageError,
  workingDirectoryOf,
} from "../../../worker/jobs/process-settings.ts";
import { compileSeccompProfile } from "../../../worker/linux/seccomp.ts";
import { SystemCallError } from "../../../worker/linux/errno.ts";
import { defineTarget, insistOnRefusal } from "../target.ts";
import { valuesOf } from "../schema-values.ts";
import { anyValue, hostileText, mutationsOf } from "../values.ts";

const digest = `sha256:${"0".repeat(64)}`;
const MANIFEST = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 1 },
  layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 1 }],
};
const INDEX = {
  schemaVersion: 2,
  manifests: [{ mediaType: MANIFEST.mediaType, digest, size: 1, platform: { os: "linux", architecture: "amd64" } }],
};

export const registryDocuments = defineTarget({
  name: "documents of registries",
  runs: 15_000,
  values: fc.record({
    text: fc.oneof(
      hostileText,
      fc
        .oneof(mutationsOf(MANIFEST), mutationsOf(INDEX), valuesOf(imageManifest))
        .map((value) => JSON.stringify(value)),
    ),
    contentType: fc.oneof(fc.constant(null), hostileText),
  }),
  open:
    () =>
    ({ text, contentType }) => {
      try {
        readDocument(text, contentType, "it");
      } catch (error) {
        insistOnRefusal(error, RegistryError);
      }
    },
});

export const imageConfigurations = defineTarget({
  name: "configurations of images",
  runs: 10_000,
  values: fc.oneof(
    valuesOf(imageConfig),
    mutationsOf({
      architecture: "amd64",
      os: "linux",
      config: {
        User: "a:b",
        Env: ["PATH=/bin"],
        Entrypoint: ["a"],
        Cmd: ["b"],
        WorkingDir: "/srv",
        Labels: { a: "b" },
      },
      rootfs: { type: "layers", diff_ids: [digest] },
      history: [{ created: "2020-01-01T00:00:00Z", empty_layer: true }],
    }),
  ),
  open: () => (value) => {
    const parsed = imageConfig.safeParse(value);
    if (!parsed.success) return;
    for (const read of [commandOf, environmentOfNobody, workingDirectoryOf]) {
      try {
        const words = Object.entries(read(parsed.data, [])).flat();
        if (words.some((word) => word.includes("\0"))) throw new Error("a word for execve has a NUL");
      } catch (error) {
        insistOnRefusal(error, UnusableImageError);
      }
    }
  },
});

function environmentOfNobody(config: z.infer<typeof imageConfig>): Record<string, string> {
  return environmentOf(config, "/", {});
}

const names = fc.constantFrom("read", "write", "clone", "socket", "ioctl", "personality", "brew_coffee", "__proto__");
const condition = fc.record({
  index: fc.nat(7),
  value: fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 32, 2 ** 53, -1, 1.5)),
  valueTwo: fc.option(fc.nat(), { nil: undefined }),
  op: fc.constantFrom(
    ...["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"],
    "SCMP_CMP_MAYBE",
  ),
});
const action = fc.constantFrom(
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_LOG",
);

export const seccompProfiles = defineTarget({
  name: "filters of system calls",
  runs: 2500,
  values: fc.oneof(
    anyValue,
    fc.record({
      defaultAction: action,
      defaultErrnoRet: fc.option(fc.nat(5000), { nil: undefined }),
      architectures: fc.option(
        fc.constantFrom(["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"], ["SCMP_ARCH_ARM"]),
        {
          nil: undefined,
        },
      ),
      syscalls: fc.array(
        fc.record({
          names: fc.array(fc.oneof(names, hostileText), { maxLength: 3 }),
          action,
          errnoRet: fc.option(fc.nat(5000), { nil: undefined }),
          args: fc.option(fc.array(condition, { maxLength: 4 }), { nil: undefined }),
        }),
        { maxLength: 4 },
      ),
    }),
  ),
  open: () => (value) => {
    const parsed = seccompProfileSchema.safeParse(value);
    if (!parsed.success) return;
    try {
      const filter = compileSeccompProfile(parsed.data);
      if (filter.byteLength === 0 || filter.byteLength % 8 !== 0) throw new RangeError("it is no whole filter");
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("the seccomp profile is not for this machine")) return;
      insistOnRefusal(error, SystemCallError);
    }
  },
});
