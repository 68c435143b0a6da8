import type { ContainerRunner, JobContext } from "./context.ts";

/** Does something in a slot of the worker's, as soon as there is one. `canceled`: `signal` came first. */
export async function inSlot<Result>(
  { slots }: Pick<JobContext, "slots">,
  signal: AbortSignal,
  work: (slot: ContainerRunner) => Promise<Result>,
): Promise<Result | { readonly kind: "canceled" }> {
  let acquired: Awaited<ReturnType<typeof slots.acquire>>;
  try {
    acquired = await slots.acquire(signal);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    throw error;
  }
  using lease = acquired;
  return await work(lease.slot);
}
