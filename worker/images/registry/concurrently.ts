/**
 * Works on several things at once.
 *
 * The first failure aborts `scope`, and is thrown once all others have ended: nothing goes on behind the caller's
 * back.
 * @param atOnce how many, at least 1
 * @param scope its signal says to `work` that its result is not wanted any more
 * @param signal the caller's own, which `work` knows too: its reason comes before what it led to
 */
export async function concurrently<Item>(
  items: readonly Item[],
  atOnce: number,
  scope: AbortController,
  signal: AbortSignal | undefined,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const lane = async () => {
    try {
      for (const item of queue) {
        signal?.throwIfAborted();
        scope.signal.throwIfAborted();
        await work(item);
      }
    } catch (error) {
      // The first reason stays; later ones are its consequences.
      scope.abort(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  signal?.throwIfAborted();
  scope.signal.throwIfAborted();
}
