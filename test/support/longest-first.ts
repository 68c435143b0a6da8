import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Files that mostly wait, for a lock to run out or for a fault to pass, in the order of their time, and the one that
 * computes longest. Whoever begins with them is not left with one of them at the end, when nothing is there any more to
 * do meanwhile.
 */
const LONGEST = [
  "faults/faults",
  "worker/delivery",
  "shard/delivery",
  "cli/images",
  "worker/placement",
  "worker/pull",
  "worker/silence",
  "cli/start",
  "judge/delivery",
  "api/images",
  "images/memory",
  "security/slow-requests",
  "fuzz/strangers-input",
].map((name) => `/${name}.test.ts`);

/** The order of files: on a fresh checkout, where nobody knows yet how long they take, too. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return place === -1 ? LONGEST.length : place;
    };
    // A stable sort: the others stay as they are by what is known of their last run, or by their size.
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}
