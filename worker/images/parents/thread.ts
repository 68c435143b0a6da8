/** What runs in the thread that makes implied parents. */
import { makeParents, type ParentsTask } from "./make-parents.ts";

/** Executes one task. */
export default async function perform(task: ParentsTask): Promise<void> {
  await makeParents(task);
}
