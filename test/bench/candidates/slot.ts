import { Slot } from "../../../worker/container/slot.ts";
import type { Candidate } from "./candidate.ts";

const SLOT_INDEX = 1;

/** What a worker's main thread sees of a container: with the way to the slot's thread and back. */
export const slot: Candidate = {
  name: "slot-writable",
  measures: "writable root, from the worker's main thread to the slot's and back",
  async open({ bench, resources }) {
    const { signal } = new AbortController();
    const spec = bench.spec("writable");
    const slot = resources.use(await Slot.open(bench.slotOptions(SLOT_INDEX)));
    return {
      kind: "ready",
      async measure() {
        const began = process.hrtime.bigint();
        const result = await slot.run(spec, signal);
        const elapsed = process.hrtime.bigint() - began;
        // Not before the slot has tidied up: that would be measured with whatever comes next.
        await slot.release("nothing");
        if (result.kind !== "ended" || result.exitCode !== 0) {
          throw new Error(`the container did not do its work: ${JSON.stringify(result)}`);
        }
        return Number(elapsed);
      },
    };
  },
};
