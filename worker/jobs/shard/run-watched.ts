import { outputStreams } from "../../../shared/job-events.ts";
import type { OutputPiece, OutputWatch } from "../../container/output-watch.ts";
import type { ContainerSpec, RunResult } from "../../container/spec.ts";
import { type ContainerLabels, runContainer, type UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";

/**
 * Runs a container whose output is shown to those who watch, and shows the end of it as well: a watch may miss what is
 * written last, which is for a result to have, and the job's has only a piece of it.
 * @param spec keeps as many bytes as are to be shown
 */
export async function runWatched(
  spec: ContainerSpec,
  labels: ContainerLabels,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
  { wanted, onOutput }: OutputWatch,
): Promise<RunResult | UnfinishedOutcome> {
  const shown = { stdout: 0, stderr: 0 };
  const show = (piece: OutputPiece): void => {
    shown[piece.stream] += piece.bytes.byteLength;
    onOutput(piece);
  };
  const result = await runContainer(spec, labels, slot, context, signal, { wanted, onOutput: show });
  // Whoever begins to watch later is shown what runs then.
  if (result.kind !== "ended" || !wanted.aborted) return result;
  for (const stream of outputStreams) {
    const rest = result[stream].content.subarray(shown[stream]);
    if (rest.byteLength > 0) show({ stream, bytes: rest });
  }
  return result;
}
