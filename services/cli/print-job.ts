import { decodeContent } from "../../shared/content.ts";
import type { RunJob } from "../../shared/job.ts";
import type { JobResult, KeptLayer } from "../../shared/job-result.ts";
import { report } from "./report.ts";

/** Prints on stderr how a job ended, as far as its program could not say it itself. */
export function printEnding(job: RunJob): void {
  const { result, error } = job;
  if (result === null) {
    report(error === null ? `job ${job.id} was canceled` : `job ${job.id} failed: ${error.message} (${error.code})`);
    return;
  }
  if (result.outcome === "build_failed" && result.build !== null) {
    process.stderr.write(decodeContent(result.build.stdout));
    process.stderr.write(decodeContent(result.build.stderr));
  }
  const remark = remarkOn(result);
  if (remark !== undefined) report(remark);
  if (result.keptLayer !== undefined) report(describeKept(job.id, result.worker, result.keptLayer));
}

function describeKept(job: string, worker: string, kept: KeptLayer): string {
  if ("error" in kept) return kept.error;
  const bytes = kept.layers.reduce((sum, layer) => sum + layer.bytes, 0);
  return `${bytes} bytes are kept on worker ${worker} until ${kept.expiresAt}: longshore images commit ${job} NAME there`;
}

function remarkOn(result: JobResult): string | undefined {
  switch (result.outcome) {
    case "exited":
      return undefined;
    case "signaled":
      return `ended by ${result.signal ?? "a signal"}`;
    case "build_failed":
      return "the build failed, so the program was not run";
    case "cpu_limit":
      return `cpu_limit: ended after ${Math.round(result.usage.cpuTimeMs)} ms of CPU time: raise --cpu-time-ms`;
    case "wall_limit":
      return `wall_limit: ended after ${Math.round(result.usage.wallTimeMs)} ms: raise --wall-time-ms`;
    case "memory_limit":
      return "memory_limit: ended as it was out of memory: raise --memory-bytes";
    case "output_limit":
      return "output_limit: ended as it wrote too much: raise --output-bytes";
    case "disk_limit":
      return "disk_limit: failed with its disk full: raise --disk-bytes";
    case "process_limit":
      return "process_limit: failed with too many processes: raise --processes";
    default:
      return result.outcome satisfies never;
  }
}
