import type { Job } from "bullmq";

/**
 * Renews BullMQ's lock of a job until it is disposed of.
 *
 * BullMQ can do so itself, but it counts by job: when a job whose lock was lost is taken up again by the same worker,
 * it renews for the new attempt only, never finds out about the old one, and stops renewing when the old one ends.
 * Here each attempt renews its own lock, by its own token.
 *
 * A lock is lost when Redis says so; or when it must have run out by our own clock, because Redis has not confirmed a
 * renewal in time. Who cannot ask must assume that somebody else has the job. A lock lasts from when Redis sets it,
 * which is not before the command was sent: counted from there, ours runs out first.
 *
 * @param token the lock's
 * @param durationMs how long a lock holds, in milliseconds; it is renewed three times in that time
 * @param onLost called once, when the lock is not ours any more, or may not be
 */
export function renewLock(job: Job, token: string, durationMs: number, onLost: () => void): Disposable {
  let next: NodeJS.Timeout | undefined;
  let expiry: NodeJS.Timeout | undefined;
  let over = false;
  const end = (): void => {
    over = true;
    clearTimeout(next);
    clearTimeout(expiry);
  };
  const lose = (): void => {
    end();
    onLost();
  };
  const holdFor = (ms: number): void => {
    clearTimeout(expiry);
    expiry = setTimeout(lose, ms);
  };
  const schedule = (): void => {
    next = setTimeout(() => void renew(), durationMs / 3);
  };
  const renew = async (): Promise<void> => {
    const sentAt = performance.now();
    // A reply that is an error says nothing about the lock: the next one may.
    const reply = await job.extendLock(token, durationMs).catch(() => undefined);
    if (over) return;
    if (reply === 0) return lose();
    if (reply !== undefined) holdFor(sentAt + durationMs - performance.now());
    schedule();
  };
  // When BullMQ asked for the job, by the clock of this machine.
  const ageMs = Math.max(0, Date.now() - (job.processedOn ?? Date.now()));
  holdFor(durationMs - ageMs);
  schedule();
  return { [Symbol.dispose]: end };
}
