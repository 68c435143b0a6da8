/**
 * Keeps what a container wrote when it is gone:
 *
 *   writable layer ── cp ──▶ staging/ ── settle, in a thread ──▶ layers/ ──▶ kept/<job>.json
 *   in memory                on disk     ids, init layer, limits
 *
 * The layer is then one like any other, and the memory that held it can be given back. The copy is made by cp: it keeps
 * what a layer needs (names in bytes, holes, hard links, deletions, attributes) and follows no link.
 */
import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { settleInThread } from "../changes/pool.ts";
import type { Digest } from "../digest.ts";
import { collectGarbage } from "../garbage.ts";
import { runCommand } from "../process.ts";
import type { ImageStore } from "../store.ts";
import { bytesOf, type KeptRun } from "./kept-store.ts";

/** The writable layer of a container that has ended. */
export interface WrittenLayer {
  /** The overlay's upper directory; nothing changes in it. */
  readonly path: string;
  /** The host's id of the container's root. */
  readonly idBase: number;
  readonly command: readonly string[];
  /** What its files may hold, in bytes, holes included: what the container was allowed to write. */
  readonly bytesMax: number;
  /** Where the runtime mounted something that not every container has, or made a directory its user's; absolute. */
  readonly runtimeDirectories: readonly string[];
}

/** What to keep. */
export interface KeepRequest {
  readonly job: string;
  /** The manifest of the image that ran, which is leased. */
  readonly image: Digest;
  /** Lowest first. */
  readonly layers: readonly WrittenLayer[];
}

/** How long layers are kept, and how much of them. */
export interface KeepPolicy {
  readonly ttlSeconds: number;
  /** What the layers of all jobs in a store may take; the oldest go first. */
  readonly bytesMax: number;
}

export type KeepResult =
  | { readonly kind: "kept"; readonly run: KeptRun }
  /** It cannot be a layer, or is too large. */
  | { readonly kind: "refused"; readonly reason: string };

/** @throws when the host fails, or `signal` is aborted; nothing is kept then */
export async function keepLayers(
  store: ImageStore,
  request: KeepRequest,
  policy: KeepPolicy,
  signal: AbortSignal,
): Promise<KeepResult> {
  const kept = await keep(store, request, policy, signal);
  // Layers that nobody keeps any more go now, so that they fill no disk; or later, where somebody is adding an image. That
  // garbage cannot be collected, since some image is damaged, is for its regular collection to report.
  if (kept.garbage === "garbage") await collectGarbage(store).catch(() => undefined);
  return kept.result;
}

async function keep(
  store: ImageStore,
  { job, image, layers }: KeepRequest,
  { ttlSeconds, bytesMax }: KeepPolicy,
  signal: AbortSignal,
): Promise<{ readonly result: KeepResult; readonly garbage: "garbage" | "no garbage" }> {
  await using _content = await store.keepContent(signal);
  const staging = join(store.directory, "staging", `kept-${process.pid}-${randomUUID()}`);
  await mkdir(staging, { mode: 0o700 });
  try {
    const stored: KeptRun["layers"] = [];
    for (const [index, layer] of layers.entries()) {
      const directory = join(staging, String(index));
      await copyTree(layer.path, directory, signal);
      const { idBase, runtimeDirectories } = layer;
      const settled = await settleInThread({ directory, idBase, runtimeDirectories, bytesMax: layer.bytesMax }, signal);
      if (settled.kind === "refused") {
        return { result: { kind: "refused", reason: settled.reason }, garbage: index > 0 ? "garbage" : "no garbage" };
      }
      const createdBy = layer.command.join(" ");
      if (settled.kind === "unchanged") stored.push({ digest: null, bytes: 0, createdBy });
      else {
        const { digest, bytes } = await store.layers.commit(directory);
        stored.push({ digest, bytes, createdBy });
      }
    }
    const now = Date.now();
    const run: KeptRun = {
      job,
      image,
      createdAt: new Date(now).toISOString(),
      expiresAt: new Date(now + ttlSeconds * 1000).toISOString(),
      layers: stored,
    };
    const bytes = bytesOf([run]);
    if (bytes > bytesMax) {
      const reason = `it is larger than the ${bytesMax} bytes that this worker keeps (LONGSHORE_KEPT_LAYER_BYTES)`;
      return { result: { kind: "refused", reason }, garbage: "garbage" };
    }
    signal.throwIfAborted();
    return { result: { kind: "kept", run }, garbage: await store.kept.put(run, bytesMax, signal) };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Copies a writable layer to a path that does not exist. What cp says of a stranger's files is for the worker's log only. */
export async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  const environment = { PATH: process.env["PATH"] ?? "", LC_ALL: "C" };
  // With the dot it is what the link in /proc leads to that is copied.
  await runCommand("cp", ["--archive", "--no-target-directory", "--", `${from}/.`, to], { environment, signal });
}
