/** Cores in the order in which a place for containers takes them: one that may use N cores gets the first N. */
export type CoreOrder = readonly number[];

/**
 * Divides cores so that slots share as few of them as can be. A slot begins with a core of its own; a container that may
 * use more takes spare ones, those first that no other slot would take as soon, and other slots' at last. What is beside
 * a slot, and talks with what is in it, takes spare cores as well, and without any, its slot's: whom it disturbs then is
 * who waits for it anyway.
 *
 * @param own the core of each slot
 * @param spare those of no slot
 * @param taken those that others have, and that nobody gets but for want of any other
 * @returns by the index of the slot, and after all slots those of their companions
 */
export function divideCores(
  own: readonly number[],
  spare: readonly number[],
  taken: readonly number[] = [],
): readonly CoreOrder[] {
  const near = own.map((_, slot) => spare.filter((__, index) => index % own.length === slot));
  const order = (first: readonly number[]): CoreOrder => [...new Set([...first, ...spare, ...own, ...taken])];
  return [
    ...own.map((core, slot) => order([core, ...(near[slot] ?? [])])),
    ...own.map((core, slot) => order([...(near[slot] ?? []), core])),
  ];
}
