/** What runs in the thread that settles changes. */
import { settleChanges, type SettleResult, type SettleTask } from "./settle.ts";

/** Executes one task. */
export default function perform(task: SettleTask): SettleResult {
  return settleChanges(task);
}
