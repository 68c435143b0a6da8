/**
 * Works on several things at once.
 *
 * The first failure aborts the others, and is thrown once all of them have ended: nothing goes on behind the
 * caller's back.
 * @param atOnce how many, at least 1
 * @param work gets a signal that says that its result is not wanted any more
 */
export async function concurrently<Item>(
  items: readonly Item[],
  atOnce: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const either = signal === undefined ? failure.signal : AbortSignal.any([signal, failure.signal]);
  const queue = items.values();
  const lane = async () => {
    try {
      for (const item of queue) {
        either.throwIfAborted();
        await work(item, either);
      }
    } catch (error) {
      // The first reason stays; later ones are its consequences.
      failure.abort(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  signal?.throwIfAborted();
  failure.signal.throwIfAborted();
}
