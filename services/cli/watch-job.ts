import type { Job } from "../../shared/job.ts";
import type { Client } from "./client.ts";
import type { ServerSentEvent } from "./event-stream.ts";
import { Interruption } from "./interruption.ts";
import { report } from "./report.ts";

/** How long a canceled job may take to say so, in milliseconds. */
const SETTLE_MS = 10_000;

/** Hands on what happens in a job. `interrupted`: we were told to stop before it was finished. */
export async function followJob(
  client: Pick<Client, "events">,
  id: string,
  onEvent: (event: ServerSentEvent) => void,
): Promise<"finished" | "interrupted"> {
  using interruption = new Interruption();
  try {
    for await (const event of client.events(id, undefined, interruption.signal)) onEvent(event);
    return "finished";
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    return "interrupted";
  }
}

/** The job in the end; one whose user has interrupted us is canceled before. */
export async function settleJob(
  client: Pick<Client, "cancel" | "finished">,
  id: string,
  how: "finished" | "interrupted",
): Promise<Job> {
  if (how === "interrupted") {
    report(`canceling job ${id}`);
    await client.cancel(id);
  }
  return await client.finished(id, AbortSignal.timeout(SETTLE_MS));
}
