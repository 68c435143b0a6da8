/**
 * The files of a judge's cases on the worker's disk, where neither they nor what programs print is ever in memory as a
 * whole:
 *
 *   <scratch>/blobs/<hex>               each blob once, see case-blobs.ts
 *   <scratch>/cases/<index>/input       what the submission reads: as a descriptor, it never sees the directory
 *                          /expected
 *                          /output      what the submission prints
 *
 * A checker has a case's directory mounted, read-only.
 */
import { chmod, link, mkdir, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeContent } from "../../../shared/content.ts";
import type { CaseData, JudgeCase } from "../../../shared/judge-request.ts";
import { receiveBlob } from "../../images/blobs.ts";
import { type Digest, hexOf } from "../../images/digest.ts";
import type { BlobSource } from "../../images/inputs/input-layers.ts";
import type { CaseBlobs } from "./case-blobs.ts";

/** The data of a case cannot be had; the message says which, and why. */
export class CaseDataError extends Error {
  override readonly name = "CaseDataError";
  /** Whether it may be had another time. */
  readonly retry: "worthwhile" | "pointless";

  constructor(message: string, retry: CaseDataError["retry"], cause?: unknown) {
    super(message, { cause });
    this.retry = retry;
  }
}

/** Where the blobs of cases come from. */
export interface CaseSources {
  readonly blobs: BlobSource;
  readonly caseBlobs: CaseBlobs;
}

/** One case's files; disposing of them removes them. */
export interface CaseDirectory extends AsyncDisposable {
  /** Without a symbolic link in it. */
  readonly path: string;
  readonly output: string;
  readonly expected: string;
}

/** Name of the file in a {@link CaseDirectory} that a submission reads. */
export const INPUT = "input";

/** Programs of any user read it, and nobody writes. */
const READABLE = 0o444;

export class CaseFiles {
  readonly #directory: string;
  readonly #sources: CaseSources;
  readonly #signal: AbortSignal;
  readonly #received = new Map<Digest, Promise<string>>();

  private constructor(directory: string, sources: CaseSources, signal: AbortSignal) {
    this.#directory = directory;
    this.#sources = sources;
    this.#signal = signal;
  }

  /** @param scratch a directory of the attempt's own, made when it is missing; whoever makes the attempt removes it */
  static async open(scratch: string, sources: CaseSources, signal: AbortSignal): Promise<CaseFiles> {
    for (const name of ["blobs", "cases"]) await mkdir(join(scratch, name), { recursive: true, mode: 0o700 });
    return new CaseFiles(await realpath(scratch), sources, signal);
  }

  /** Puts a case's data where its programs find them. @throws {CaseDataError}, or the reason of the signal */
  async prepare(index: number, { name, stdin, expected }: JudgeCase): Promise<CaseDirectory> {
    const path = join(this.#directory, "cases", String(index));
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(path, { recursive: true, force: true }));
    await mkdir(path);
    // What a login masks is not what programs of other users need.
    await chmod(path, 0o755);
    await this.#put(join(path, INPUT), stdin, `the stdin of case ${name}`);
    await this.#put(join(path, "expected"), expected, `the expected output of case ${name}`);
    const removal = undo.move();
    return {
      path,
      output: join(path, "output"),
      expected: join(path, "expected"),
      [Symbol.asyncDispose]: () => removal.disposeAsync(),
    };
  }

  async #put(path: string, data: CaseData, what: string): Promise<void> {
    if (typeof data === "object" && "blob" in data) await link(await this.#receive(data.blob, what), path);
    else await writeFile(path, decodeContent(data), { mode: READABLE });
  }

  #receive(blob: Digest, what: string): Promise<string> {
    const known = this.#received.get(blob);
    if (known !== undefined) return known;
    const receiving = this.#receiveOnce(blob, what);
    this.#received.set(blob, receiving);
    return receiving;
  }

  async #receiveOnce(blob: Digest, what: string): Promise<string> {
    const path = join(this.#directory, "blobs", hexOf(blob));
    await this.#sources.caseBlobs.take(blob, path, () => this.#fetch(blob, what, path), this.#signal);
    return path;
  }

  async #fetch(blob: Digest, what: string, path: string): Promise<void> {
    try {
      const content = await this.#sources.blobs.open(blob);
      if (content !== undefined) {
        await receiveBlob(content.content, { digest: blob, size: content.bytes }, path, this.#signal);
        await chmod(path, READABLE);
        return;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      throw new CaseDataError(`blob ${blob}, ${what}, cannot be read: ${reason}`, "worthwhile", error);
    }
    throw new CaseDataError(`blob ${blob}, ${what}, is gone: it has expired or was deleted`, "pointless");
  }
}
