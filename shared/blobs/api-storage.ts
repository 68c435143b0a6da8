import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import type { Digest } from "../digest.ts";
import type { StorageAccess, StorageMethod } from "./access.ts";
import type { BlobContent, BlobStorage } from "./storage.ts";

/** Where an API serves its storage to other processes of the installation, before the digest. */
export const STORAGE_PATH = "/internal/blobs/";

export interface ApiStorageOptions {
  /** Of an API that has the blobs. */
  readonly url: string;
  readonly access: StorageAccess;
  readonly spoolDirectory: string;
}

/**
 * Blobs that an API has, for workers on other machines. Each request carries a signature for this method and blob,
 * with a secret that stands in Redis: whoever may take jobs may read their inputs.
 */
export class ApiStorage implements BlobStorage {
  readonly spoolDirectory: string;
  readonly #url: string;
  readonly #access: StorageAccess;

  constructor({ url, access, spoolDirectory }: ApiStorageOptions) {
    this.#url = url.replace(/\/+$/, "");
    this.#access = access;
    this.spoolDirectory = spoolDirectory;
  }

  async sizeOf(digest: Digest): Promise<number | undefined> {
    const response = await this.#request("HEAD", digest);
    return response && bytesOf(response);
  }

  async open(digest: Digest): Promise<BlobContent | undefined> {
    const response = await this.#request("GET", digest);
    if (response === undefined) return undefined;
    if (response.body === null) throw new Error(`${this.#url} sent blob ${digest} without a body`);
    return { bytes: bytesOf(response), content: Readable.fromWeb(response.body) };
  }

  async put(digest: Digest, file: string): Promise<void> {
    const content = Readable.toWeb(createReadStream(file)) as NonNullable<RequestInit["body"]>;
    const response = await this.#request("PUT", digest, { body: content, duplex: "half" });
    if (response === undefined) throw new Error(`${this.#url} has no place for blobs: is it a longshore API`);
    await response.body?.cancel();
  }

  /** @returns undefined where there is no such blob */
  async #request(method: StorageMethod, digest: Digest, init: RequestInit = {}): Promise<Response | undefined> {
    const headers = { authorization: await this.#access.authorize(method, digest) };
    const response = await fetch(`${this.#url}${STORAGE_PATH}${digest}`, { ...init, method, headers }).catch(
      (error: unknown) => {
        const cause = error instanceof Error ? error.cause : undefined;
        const reason = cause instanceof Error ? cause.message : String(error);
        throw new Error(`cannot reach ${this.#url}, which LONGSHORE_BLOBS names: ${reason}`, { cause: error });
      },
    );
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new Error(`${this.#url} answered ${response.status} ${response.statusText} for blob ${digest}`);
  }

  [Symbol.dispose](): void {}
}

function bytesOf(response: Response): number {
  const length = response.headers.get("content-length");
  if (length === null || !/^\d{1,15}$/.test(length)) throw new Error(`${response.url} does not say how large it is`);
  return Number(length);
}
