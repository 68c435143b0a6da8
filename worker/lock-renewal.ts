import type { Job } from "bullmq";

/**
 * Renews BullMQ's lock of a job until it is disposed of.
 *
 * BullMQ can do so itself, but it counts by job: when a job whose lock was lost is taken up again by the same worker,
 * it renews for the new attempt only, never finds out about the old one, and stops renewing when the old one ends.
 * Here each attempt renews its own lock, by its own token.
 *
 * While Redis is away, the renewal waits with it. When it has waited for as long as a lock holds, the lock is lost:
 * this worker cannot know whether Redis is away for everyone, or has given the job to another by now.
 *
 * @param token the lock's
 * @param durationMs how long a lock holds; it is renewed twice in that time
 * @param onLost called once, when the lock is not ours any more
 */
export function renewLock(job: Job, token: string, durationMs: number, onLost: () => void): Disposable {
  let timer: NodeJS.Timeout | undefined;
  let expiry: NodeJS.Timeout | undefined;
  let disposed = false;
  const lose = (): void => {
    if (disposed) return;
    stop();
    onLost();
  };
  const stop = (): void => {
    disposed = true;
    clearTimeout(timer);
    clearTimeout(expiry);
  };
  const hold = (): void => {
    clearTimeout(expiry);
    expiry = setTimeout(lose, durationMs);
  };
  const schedule = (): void => {
    timer = setTimeout(() => void renew(), durationMs / 2);
  };
  const renew = async (): Promise<void> => {
    // A reply that is an error says nothing about the lock: the next one may.
    const reply = await job.extendLock(token, durationMs).catch(() => undefined);
    if (disposed) return;
    if (reply === 0) return lose();
    if (reply !== undefined) hold();
    schedule();
  };
  hold();
  schedule();
  return { [Symbol.dispose]: stop };
}
