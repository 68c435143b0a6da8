/** A worker's part, played by hand, for tests of what watchers are told. */
import { expect, vi } from "vitest";
import { encodeOutput } from "../../../shared/content.ts";
import { JobEvents, type JobEvent } from "../../../shared/job-events.ts";
import type { Ending } from "../../../shared/job-store.ts";
import type { RunningApi } from "../../support/api.ts";
import { resultOf } from "../../support/jobs.ts";
import { type Watch, watchJob } from "../../support/watch.ts";

/** An attempt at a job that can write. */
export interface HandAttempt {
  readonly number: number;
  write(stream: "stdout" | "stderr", content: string | Buffer): Promise<void>;
  append(event: JobEvent): Promise<void>;
  finish(ending: Ending): Promise<void>;
  release(): Promise<void>;
}

/** Watches a job that waits, and has been told so. */
export async function watchQueued(api: RunningApi, id: string): Promise<Watch> {
  const watch = await watchJob(api.url, id);
  await vi.waitFor(() => expect(watch.dataOf("state")).toEqual([{ id, state: "queued", attempt: 0 }]));
  return watch;
}

let tokens = 0;

/** Takes a job as a worker does. */
export async function takeByHand({ store, api }: RunningApi, id: string): Promise<HandAttempt> {
  const token = `by-hand-${++tokens}`;
  const claim = await store.claim(id, { worker: "by-hand", token });
  if (claim.status !== "claimed") throw new Error(claim.status);
  const { attempt } = claim;
  const events = new JobEvents({ redis: api.redis, queue: "longshore" });
  const offsets = { stdout: 0, stderr: 0 };
  let sequence = 0;
  const append: HandAttempt["append"] = async (event) => {
    expect(await events.append(id, { token }, [{ ...event, attempt, sequence: ++sequence }])).toBe("appended");
  };
  return {
    number: attempt,
    append,
    async write(name, content) {
      const bytes = Buffer.from(content);
      await append({ name, offset: offsets[name], bytes });
      offsets[name] += bytes.length;
    },
    finish: async (ending) => expect(await store.finish(id, token, ending)).toBe("stored"),
    release: async () => expect(await store.release(id, token)).toBe("released"),
  };
}

/** The ending of a program that wrote these bytes. */
export function doneWith(content: Buffer): Ending {
  return {
    state: "done",
    result: { ...resultOf(""), stdout: encodeOutput({ content, truncated: false }) },
    outputs: [],
  };
}
