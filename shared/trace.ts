/**
 * Where the time of one job goes, for whoever measures (`npm run bench -- stages`): a diagnostics channel of each
 * process. While nobody has subscribed to it, publishing is a call of an empty function.
 */
import { channel } from "node:diagnostics_channel";

/** The channel's name; its messages are {@link JobStage}s. */
export const JOB_STAGE_CHANNEL = "longshore:job-stage";

/** What happens to a job that is posted with `?wait`, named by what is over then; in this order. */
export type JobStage =
  /** API: Node has read the request's head. */
  | "received"
  /** API: the middleware is through, the route begins. */
  | "routed"
  /** API: the body is read and parsed. */
  | "read"
  /** API: the request is checked, its preset and limits are filled in. */
  | "validated"
  /** API: Redis has its record, and BullMQ its id. */
  | "accepted"
  /** Worker: BullMQ has given its id to this worker. */
  | "dequeued"
  /** Worker: the attempt holds it, and has its request. */
  | "claimed"
  /** Worker: the attempt has a slot, knows image and layers, and has described the container. */
  | "planned"
  /** Worker: the slot has answered with the container's result. */
  | "run"
  /** Worker: Redis has the job's result. */
  | "stored"
  /** API: the message of its end has arrived. */
  | "noticed"
  /** API: its record is read. */
  | "fetched"
  /** API: the answer is with the kernel. */
  | "answered";

const stages = channel(JOB_STAGE_CHANNEL);

/** Says that a stage is over. */
export function traceStage(stage: JobStage): void {
  stages.publish(stage);
}
