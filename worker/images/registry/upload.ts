/**
 * A blob into a repository (distribution specification, "Pushing blobs"):
 *
 *   HEAD blob ── there ──▶ done
 *   POST uploads?mount=…&from=… ── 201 ──▶ done: the registry has it in another repository
 *        │ 202 Location
 *        ├─ small:  PUT Location?digest=… with all of it
 *        └─ large:  PATCH, PATCH, … with a chunk each, then PUT Location?digest=…
 *
 * Each answer names the place for the next request. A chunk whose connection broke is continued where the registry
 * says that it has it up to; when that cannot be known, or was wrong, the blob starts anew.
 */
import type { RegistryClient } from "./client.ts";
import type { Descriptor } from "./documents.ts";
import type { HttpAnswer } from "./http.ts";
import { RegistryError, TransientError } from "./registry-error.ts";

/** Of a chunk, and the largest blob sent as one, in bytes: above the 5 MiB that registries on S3 need. */
export const CHUNK_BYTES = 8 * 1024 * 1024;
/** A registry that wants larger chunks than this in memory is refused. */
const LARGEST_CHUNK_BYTES = 128 * 1024 * 1024;

/** The registry knows an upload no more, or has something else of it than we think: only a new one helps. */
class LostUploadError extends TransientError {
  override readonly name = "LostUploadError";
}

/** What is sent, and from where else the registry may have it. */
export interface Upload extends Pick<Descriptor, "digest" | "size"> {
  /** Opens its content; again for each new start. */
  readonly open: () => Promise<AsyncIterable<Uint8Array>>;
  /** Another repository of the registry that should have it. */
  readonly mountFrom: string | undefined;
  readonly onBytes: (bytes: number) => void;
}

/**
 * Sees to it that a repository has a blob.
 * @returns how it came there
 */
export async function uploadBlob(
  client: RegistryClient,
  repository: string,
  upload: Upload,
): Promise<"present" | "mounted" | "sent"> {
  const target = new UploadTarget(client, repository, upload);
  if (await target.isPresent()) return "present";
  if (upload.mountFrom !== undefined && (await target.mount(upload.mountFrom))) return "mounted";
  const patience = client.patience();
  for (;;) {
    try {
      await target.send();
      return "sent";
    } catch (error) {
      // Anything else has been tried again already, closer to where it failed.
      if (!(error instanceof LostUploadError)) throw error;
      await patience.endure(error);
    }
  }
}

/** One blob on its way into one repository. */
class UploadTarget {
  readonly #client: RegistryClient;
  readonly #upload: Upload;
  readonly #what: string;
  readonly #path: `/v2/${string}`;
  readonly #scopes: readonly string[];

  constructor(client: RegistryClient, repository: string, upload: Upload) {
    this.#client = client;
    this.#upload = upload;
    this.#what = `blob ${upload.digest} for ${client.endpoint.registry}/${repository}`;
    this.#path = `/v2/${repository}/blobs/`;
    this.#scopes = [`repository:${repository}:pull,push`];
  }

  async isPresent(): Promise<boolean> {
    const url = this.#client.endpoint.url(`${this.#path}${this.#upload.digest}`);
    const request = { what: this.#what, method: "HEAD", url, scopes: this.#scopes } as const;
    return this.#client.ask(request, [200, 404], async ({ status }) => status === 200);
  }

  /** Asks the registry to take it over from another repository; that it would not is no error. */
  async mount(from: string): Promise<boolean> {
    const url = this.#client.endpoint.url(`${this.#path}uploads/`);
    url.searchParams.set("mount", this.#upload.digest);
    url.searchParams.set("from", from);
    const scopes = [...this.#scopes, `repository:${from}:pull`];
    const request = { what: this.#what, method: "POST", url, scopes } as const;
    try {
      const session = await this.#client.ask(request, [201, 202], async (answer) =>
        answer.status === 201 ? undefined : this.#next(answer),
      );
      if (session === undefined) return true;
      await this.#cancel(session);
    } catch (error) {
      // We may read that repository no more, or the registry does not know mounts.
      if (!(error instanceof RegistryError) || error instanceof TransientError) throw error;
    }
    return false;
  }

  /** Sends all of it, in an upload of its own. */
  async send(): Promise<void> {
    const { size, open } = this.#upload;
    const { location, chunkBytes } = await this.#begin();
    let place = location;
    let sent = 0;
    for await (const chunk of chunksOf(await open(), chunkBytes)) {
      if (size <= chunkBytes) {
        if (chunk.length !== size) throw this.#wrongSize(chunk.length);
        return this.#finish(place, chunk);
      }
      place = await this.#sendChunk(place, chunk, sent);
      sent += chunk.length;
      this.#upload.onBytes(sent);
    }
    if (sent !== size) throw this.#wrongSize(sent);
    await this.#finish(place, new Uint8Array());
  }

  async #begin(): Promise<{ readonly location: URL; readonly chunkBytes: number }> {
    const url = this.#client.endpoint.url(`${this.#path}uploads/`);
    return this.#client.ask({ ...this.#request("POST"), url }, [202], async (answer) => {
      const least = Number(answer.headers.get("oci-chunk-min-length") ?? 0);
      if (least > LARGEST_CHUNK_BYTES)
        throw new RegistryError(`${this.#what}: the registry wants chunks of ${least} bytes, which is too large`);
      return { location: this.#next(answer), chunkBytes: Math.max(CHUNK_BYTES, least || 0) };
    });
  }

  /** @param start where in the blob `chunk` begins */
  async #sendChunk(location: URL, chunk: Uint8Array<ArrayBuffer>, start: number): Promise<URL> {
    const patience = this.#client.patience();
    const end = start + chunk.length;
    for (let place = location, from = start; ;) {
      try {
        using answer = await this.#client.request(
          {
            ...this.#request("PATCH"),
            url: place,
            headers: { "content-type": "application/octet-stream", "content-range": `${from}-${end - 1}` },
            body: chunk.subarray(from - start),
          },
          [202],
        );
        return this.#next(answer);
      } catch (error) {
        this.#insistOnUpload(error);
        await patience.endure(error);
        const progress = await this.#progress(place);
        if (progress.received < start || progress.received > end) throw this.#lost(error);
        place = progress.location;
        from = progress.received;
        if (from === end) return place;
      }
    }
  }

  /** How much the registry has of an upload that broke. */
  async #progress(place: URL): Promise<{ readonly location: URL; readonly received: number }> {
    try {
      return await this.#client.ask({ ...this.#request("GET"), url: place }, [204], async (answer) => {
        const last = /^(?:bytes=)?0-(\d{1,16})$/.exec(answer.headers.get("range") ?? "")?.[1];
        if (last === undefined) throw new RegistryError(`${this.#what}: the registry does not know how much it has`);
        // `0-0` is one byte by the specification, and none by Docker's registry, which says so far more often.
        return { location: this.#next(answer), received: last === "0" ? 0 : Number(last) + 1 };
      });
    } catch (error) {
      throw this.#lost(error);
    }
  }

  async #finish(location: URL, rest: Uint8Array<ArrayBuffer>): Promise<void> {
    const url = new URL(location);
    url.searchParams.set("digest", this.#upload.digest);
    const headers = { "content-type": "application/octet-stream" };
    try {
      await this.#client.ask({ ...this.#request("PUT"), url, headers, body: rest }, [201], (answer) => answer.drain());
    } catch (error) {
      this.#insistOnUpload(error);
      throw error;
    }
    this.#upload.onBytes(this.#upload.size);
  }

  async #cancel(location: URL): Promise<void> {
    // Registries clear away forgotten uploads by themselves; this is a courtesy.
    await this.#client
      .ask({ ...this.#request("DELETE"), url: location }, [200, 202, 204, 404], (answer) => answer.drain())
      .catch(() => undefined);
  }

  #request<Method extends "GET" | "POST" | "PATCH" | "PUT" | "DELETE">(method: Method) {
    return { what: this.#what, method, scopes: this.#scopes };
  }

  #next({ headers }: HttpAnswer): URL {
    const location = headers.get("location");
    if (location === null) throw new RegistryError(`${this.#what}: the registry names no place to upload it to`);
    return this.#client.endpoint.follow(location, "place for uploads");
  }

  #lost(cause: unknown): LostUploadError {
    return new LostUploadError(`${this.#what}: its upload was interrupted`, { cause });
  }

  /** @throws {LostUploadError} for what Docker's registry says with 404, the specification with 416 */
  #insistOnUpload(error: unknown): void {
    if (error instanceof RegistryError && (error.status === 404 || error.status === 416)) throw this.#lost(error);
  }

  #wrongSize(bytes: number): RegistryError {
    return new RegistryError(`${this.#what}: has ${bytes} bytes here, its manifest states ${this.#upload.size}`);
  }
}

/** Regroups a stream; the last chunk may be shorter, and an empty stream is one empty chunk. */
async function* chunksOf(
  stream: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let pending: Uint8Array[] = [];
  let length = 0;
  for await (const piece of stream) {
    for (let rest = piece; rest.length > 0;) {
      const taken = rest.subarray(0, size - length);
      rest = rest.subarray(taken.length);
      pending.push(taken);
      length += taken.length;
      if (length < size) continue;
      yield Buffer.concat(pending);
      pending = [];
      length = 0;
    }
  }
  yield Buffer.concat(pending);
}
