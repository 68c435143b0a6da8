/**
 * Names of everything in Redis.
 *
 * The prefix stands in braces, which makes it the hash tag of Redis Cluster: all keys of one installation
 * live on one node, so that a script may touch several of them at once.
 */

/** BullMQ's queue below the same prefix: its keys are `{longshore}:jobs:…`. */
export const QUEUE_NAME = "jobs";

export interface Keys {
  /** `{longshore}`, which is also BullMQ's prefix. */
  readonly prefix: string;
  /** Sorted sets of job ids by time in milliseconds: not yet confirmed (by deadline), waiting, being run. */
  readonly pending: string;
  readonly queued: string;
  readonly running: string;
  /** Channel on which the id of every job that finished is published, and what became of it if that is small. */
  readonly finishedChannel: string;
  /** Channel on which the id of a running job that shall be canceled is published. */
  readonly cancelChannel: string;
  /** Channel on which the id of a running job is published that somebody wants to watch. */
  readonly watchChannel: string;
  /** Channel on which the id of a watched job is published when something happened in it. */
  readonly newsChannel: string;
  /** Channel on which the id of a worker is published that has an order about an image in its mailbox. */
  readonly imageMailChannel: string;
  /** Channel on which the id of an order is published that a worker has answered. */
  readonly imageAnswerChannel: string;
  /** Set of the ids of workers; each has a key of its own that expires. */
  readonly workers: string;
  /** Hash: the record of a job, or of a part of one; scripts know more keys that begin so. */
  job(id: string): string;
  /** Stream: what happened in a job, where somebody watches it; scripts know its name, too. */
  jobEvents(id: string): string;
  /** String: a file that an attempt of a job returned. */
  output(id: string, token: string, path: string): string;
  /** Hash: the job that was first posted under an Idempotency-Key. */
  idempotency(digest: string): string;
  /** Sorted set: suites of a client of which it is remembered what items take, by when they were run last. */
  suites(client: string): string;
  /** Hash: item → milliseconds that it took before, of one client's suite. */
  durations(client: string, suite: string): string;
  /** String: a layer that a set-up made, and the blob that has it. */
  sharedLayer(digest: string): string;
  /** String: what a worker says of itself. */
  worker(id: string): string;
  /** String: what an image consists of. */
  image(digest: string): string;
  /** Hash: an order about an image, and what the workers answer. */
  imageOrder(id: string): string;
  /** List: ids of orders about images that a worker has not taken yet. */
  imageMailbox(worker: string): string;
  /** String: which blob holds a large file that an attempt of a job returned. */
  outputBlob(id: string, token: string, path: string): string;
  /** Sorted set: `holder hex` of blobs that are held, by when that ends, in milliseconds. */
  readonly blobHolds: string;
  /** Hash: holder → bytes that its quota is charged with. */
  readonly blobCharges: string;
  /** Hash: hex → how many hold that blob. */
  readonly blobHolders: string;
  /** Set: hex of blobs that nobody holds. */
  readonly blobsDoomed: string;
  /** Set: hex of blobs that are being removed right now. */
  readonly blobsRemoving: string;
  /** String: there while a process removes blobs. */
  readonly blobSweep: string;
  /** String: what processes of the installation prove to each other that they are that. */
  readonly blobSecret: string;
  /** Hash: hex → bytes of the blobs of one holder. */
  blobsHeldBy(holder: string): string;
}

export function createKeys(queue: string): Keys {
  const prefix = `{${queue}}`;
  return {
    prefix,
    pending: `${prefix}:pending`,
    queued: `${prefix}:queued`,
    running: `${prefix}:running`,
    finishedChannel: `${prefix}:finished`,
    cancelChannel: `${prefix}:cancel`,
    watchChannel: `${prefix}:watch`,
    newsChannel: `${prefix}:news`,
    workers: `${prefix}:workers`,
    job: (id) => `${prefix}:job:${id}`,
    jobEvents: (id) => `${prefix}:job:${id}:events`,
    output: (id, token, path) => `${prefix}:job:${id}:output:${token}:${path}`,
    idempotency: (digest) => `${prefix}:idempotency:${digest}`,
    suites: (client) => `${prefix}:suites:${client}`,
    durations: (client, suite) => `${prefix}:durations:${client}:${suite}`,
    sharedLayer: (digest) => `${prefix}:shared-layer:${digest}`,
    worker: (id) => `${prefix}:worker:${id}`,
    imageMailChannel: `${prefix}:images:mail`,
    imageAnswerChannel: `${prefix}:images:answers`,
    image: (digest) => `${prefix}:image:${digest}`,
    imageOrder: (id) => `${prefix}:image-order:${id}`,
    imageMailbox: (worker) => `${prefix}:image-mailbox:${worker}`,
    outputBlob: (id, token, path) => `${prefix}:job:${id}:output-blob:${token}:${path}`,
    blobHolds: `${prefix}:blobs:holds`,
    blobCharges: `${prefix}:blobs:charges`,
    blobHolders: `${prefix}:blobs:holders`,
    blobsDoomed: `${prefix}:blobs:doomed`,
    blobsRemoving: `${prefix}:blobs:removing`,
    blobSweep: `${prefix}:blobs:sweep`,
    blobSecret: `${prefix}:blobs:secret`,
    blobsHeldBy: (holder) => `${prefix}:blobs:held:${holder}`,
  };
}
