/** What the parts of a job have reported, as they left it for whoever merges. */
import type { Digest } from "../../../shared/digest.ts";
import type { PartStanding } from "../../../shared/shard-part.ts";
import type { BlobSource } from "../../images/inputs/input-layers.ts";
import { REPORTS_FILE } from "./part.ts";
import type { ReportedRun } from "./report/merge-reports.ts";

/** What all parts of a job may have reported, in bytes of JSON: it is in memory while it is merged. */
const REPORTS_BYTES_MAX = 256 * 1024 * 1024;

export interface PartReports {
  readonly runs: readonly ReportedRun[];
  /** Why they cannot be had; null where they can. */
  readonly fault: string | null;
}

/** Reads what each part has reported, in their order. */
export async function readPartReports(parts: readonly PartStanding[], blobs: BlobSource): Promise<PartReports[]> {
  const reports: PartReports[] = [];
  let bytesLeft = REPORTS_BYTES_MAX;
  for (const part of parts) {
    const file = part.state === "done" ? part.result?.files.find(({ path }) => path === REPORTS_FILE) : undefined;
    if (file === undefined) reports.push({ runs: [], fault: null });
    else if ("error" in file) reports.push({ runs: [], fault: file.error });
    else if (file.bytes > bytesLeft) reports.push({ runs: [], fault: "the job's reports are too large to be merged" });
    else {
      bytesLeft -= file.bytes;
      reports.push(await read(file.blob, blobs));
    }
  }
  return reports;
}

async function read(digest: Digest, blobs: BlobSource): Promise<PartReports> {
  const blob = await blobs.open(digest);
  if (blob === undefined) return { runs: [], fault: "its report has expired" };
  const pieces: Buffer[] = [];
  for await (const piece of blob.content) pieces.push(piece as Buffer);
  return { runs: JSON.parse(Buffer.concat(pieces).toString()) as ReportedRun[], fault: null };
}
