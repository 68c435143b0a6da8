import type { RunResult } from "../../../worker/container/spec.ts";
import type { ImageConfig } from "../../../worker/images/oci.ts";
import type { StoredImage } from "../../../worker/images/store.ts";

const [LOW, HIGH] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`] as const;

/** An image's configuration with these settings of its processes. */
export function imageConfig(config: ImageConfig["config"]): ImageConfig {
  return { architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: [LOW, HIGH] } };
}

/** An image of two layers. */
export function storedImage(): StoredImage {
  return {
    reference: "tool",
    digest: `sha256:${"3".repeat(64)}`,
    manifest: { schemaVersion: 2, config: { mediaType: "", digest: LOW, size: 0 }, layers: [] },
    config: imageConfig({ Env: ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"], User: "1000:1000", Entrypoint: ["/entry"] }),
    layers: [
      { digest: LOW, path: "/layers/low", bytes: 1 },
      { digest: HIGH, path: "/layers/high", bytes: 1 },
    ],
    lowerDirs: ["/layers/low", "/layers/high"],
  };
}

/** What a container brings back that printed `hello` and exited with 0. */
export function runResult(changes: Partial<RunResult> = {}): RunResult {
  return {
    kind: "ended",
    outcome: "exited",
    exitCode: 0,
    signal: null,
    stdout: { content: Buffer.from("hello"), truncated: false },
    stderr: { content: Buffer.alloc(0), truncated: false },
    outputs: [],
    usage: {
      cpuTimeMs: 3,
      userTimeMs: 2,
      systemTimeMs: 1,
      wallTimeMs: 4,
      memoryPeakBytes: 5,
      maxRssBytes: 6,
      processesPeak: null,
    },
    start: "cold",
    endedAtMs: 10,
    timings: { prepareMs: 7, runMs: 8, collectMs: 9 },
    ...changes,
  };
}
