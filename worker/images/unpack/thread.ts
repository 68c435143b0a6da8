/** What runs in the threads that unpack layers. */
import { clearUmaskOfThread } from "../../linux/files.ts";
import { unpackLayer, type UnpackResult, type UnpackTask } from "./unpack-layer.ts";

clearUmaskOfThread();

/** Executes one task. */
export default async function perform(task: UnpackTask): Promise<UnpackResult> {
  return unpackLayer(task);
}
