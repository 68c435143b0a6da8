/** Has the workers pull or remove an image, and tells what became of it. */
import type { Response } from "express";
import * as z from "zod";
import { errorTable, LongshoreError } from "../../shared/errors.ts";
import type { ImageOrder } from "../../shared/image-orders.ts";
import { jobErrorSchema } from "../../shared/job.ts";
import { HEARTBEAT_MS } from "../../shared/workers.ts";
import type { ApiContext } from "./context.ts";
import { untilAnswerIsDue } from "./wait.ts";

const workerOrderSchema = z.strictObject({
  worker: z.string(),
  state: z
    .enum(["pending", "done", "failed", "lost"])
    .meta({ description: "lost: the worker ended before it answered" }),
  digest: z.string().nullable().meta({ description: "of the image, when it is done; null where there was none" }),
  error: jobErrorSchema.nullable().meta({ description: "set when it failed" }),
});

export const imageOrderSchema = z
  .strictObject({
    action: z.enum(["pull", "remove"]),
    reference: z.string().meta({ description: "the whole name of the image, or its digest" }),
    workers: z.array(workerOrderSchema).meta({ description: "those that were alive when the request came" }),
  })
  .meta({ id: "ImageOrder" });

type WorkerOrder = z.infer<typeof workerOrderSchema>;

/**
 * Gives an order to every live worker and waits for as long as the client wants to.
 * @param seconds to wait; undefined: not at all
 * @returns what is known then
 * @throws `no_worker`, `redis_unavailable`; the workers' own error when they have all failed
 */
export async function giveImageOrder(
  context: ApiContext,
  response: Response,
  order: ImageOrder,
  seconds: number | undefined,
): Promise<z.infer<typeof imageOrderSchema>> {
  const live = await context.workers.list();
  if (live.length === 0) throw new LongshoreError("no_worker");
  const ids = live.map(({ id }) => id);
  const id = await context.imageOrders.give(order, ids);
  const workers = await untilAnswerIsDue(context, response, seconds, async (due) => await follow(context, id, due));
  throwWhenAllFailed(workers);
  return { ...order, workers };
}

/** Whether nothing will change about an order any more. */
export function isSettled(workers: readonly WorkerOrder[]): boolean {
  return workers.every(({ state }) => state !== "pending");
}

/** Resolves as soon as every worker has answered, or with what is known when the signal aborts. */
async function follow(context: ApiContext, id: string, due: AbortSignal): Promise<WorkerOrder[]> {
  let wake = Promise.withResolvers<void>();
  const awaken = (): void => wake.resolve();
  using _watch = context.imageAnswers.watch(id, awaken);
  // A worker that is lost does not say so.
  const pulse = setInterval(awaken, HEARTBEAT_MS);
  due.addEventListener("abort", awaken, { once: true });
  try {
    for (;;) {
      // before looking: what happens from here on wakes the next round
      const news = wake.promise;
      const workers = await look(context, id);
      if (isSettled(workers) || due.aborted) return workers;
      await news;
      wake = Promise.withResolvers<void>();
    }
  } finally {
    clearInterval(pulse);
    due.removeEventListener("abort", awaken);
  }
}

async function look({ imageOrders, workers }: ApiContext, id: string): Promise<WorkerOrder[]> {
  // In this order: a worker that answers and ends in between has answered.
  const live = new Set((await workers.list()).map((worker) => worker.id));
  const answers = await imageOrders.answers(id);
  return [...answers].map(([worker, answer]): WorkerOrder => {
    switch (answer.state) {
      case "pending":
        return { worker, state: live.has(worker) ? "pending" : "lost", digest: null, error: null };
      case "done":
        return { worker, state: "done", digest: answer.digest, error: null };
      case "failed":
        return { worker, state: "failed", digest: null, error: answer.error };
      default:
        return answer satisfies never;
    }
  });
}

function throwWhenAllFailed(workers: readonly WorkerOrder[]): void {
  if (!workers.every(({ state }) => state === "failed" || state === "lost")) return;
  const details = workers.flatMap(({ worker, error }) =>
    error === null ? [] : [{ path: worker, message: error.message }],
  );
  const error = workers.find((worker) => worker.error !== null)?.error;
  if (error === undefined || error === null) throw new LongshoreError("no_worker");
  // A code of jobs: the worker's own trouble.
  const code = errorTable[error.code].status === null ? "internal_error" : error.code;
  throw new LongshoreError(code, { message: error.message, details });
}
