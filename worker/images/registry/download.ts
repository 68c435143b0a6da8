/**
 * A blob as a stream that outlives the connections it comes over.
 *
 * A connection that breaks is replaced by one that asks for the rest (`Range`), so the reader sees one stream. A
 * server that ignores the range sends everything again; what the reader has had is then skipped. The digest runs
 * along, over exactly the bytes that were passed on: no mixture of answers can go unnoticed.
 */
import { createHash } from "node:crypto";
import { hexOf } from "../digest.ts";
import type { RegistryClient } from "./client.ts";
import type { Descriptor } from "./documents.ts";
import type { HttpAnswer } from "./http.ts";
import { RegistryError, TransientError } from "./registry-error.ts";

/** Progress that earns new patience, in bytes: with less, a server could keep us forever, one byte at a time. */
const WORTH_CONTINUING = 256 * 1024;

/**
 * Downloads `blob` of a repository.
 * @returns its bytes; ends only after size and digest are found to be right
 * @throws {RegistryError} when they are not, or patience with the registry ends
 */
export async function* downloadBlob(
  client: RegistryClient,
  repository: string,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): AsyncGenerator<Uint8Array, void> {
  const what = `blob ${digest} of ${client.endpoint.registry}/${repository}`;
  const hash = createHash("sha256");
  const patience = client.patience();
  let received = 0;
  let rewarded = 0;
  // An empty blob is asked for, too: that it exists is part of the answer.
  for (let complete = false; !complete;) {
    try {
      using answer = await client.request(
        {
          what,
          method: "GET",
          url: client.endpoint.url(`/v2/${repository}/blobs/${digest}`),
          scopes: [`repository:${repository}:pull`],
          ...(received > 0 && { headers: { range: `bytes=${received}-` } }),
        },
        received > 0 ? [200, 206] : [200],
      );
      let skip = bytesToSkip(answer, received, size, what);
      for await (const chunk of answer.chunks()) {
        const news = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - news.length;
        if (news.length === 0) continue;
        received += news.length;
        if (received > size) throw new RegistryError(`${what}: is larger than the ${size} bytes its manifest states`);
        hash.update(news);
        yield news;
      }
      if (received < size) throw new TransientError(`${what}: ended after ${received} of ${size} bytes`, {});
      complete = true;
    } catch (error) {
      if (received - rewarded >= WORTH_CONTINUING) {
        patience.renew();
        rewarded = received;
      }
      await patience.endure(error);
    }
  }
  if (hash.digest("hex") !== hexOf(digest))
    throw new RegistryError(`${what}: what came has another digest: the registry or a cache before it is damaged`);
}

/** How much of an answer the reader has had already. */
function bytesToSkip(answer: HttpAnswer, received: number, size: number, what: string): number {
  if (answer.status === 206) {
    const range = /^bytes (\d{1,16})-\d{1,16}\/(?:\*|(\d{1,16}))$/.exec(answer.headers.get("content-range") ?? "");
    if (Number(range?.[1]) !== received)
      throw new RegistryError(`${what}: the answer holds another range than asked for`);
    checkSize(range?.[2], size, what);
    return 0;
  }
  if (!answer.headers.has("content-encoding")) checkSize(answer.headers.get("content-length") ?? undefined, size, what);
  return received;
}

function checkSize(stated: string | undefined, size: number, what: string): void {
  if (stated !== undefined && Number(stated) !== size)
    throw new RegistryError(`${what}: is ${Number(stated)} bytes long, not the ${size} its manifest states`);
}
