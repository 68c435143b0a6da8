/** What the parts of a job have written down of their commands, fetched from where they left it. */
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { PartStanding } from "../../../shared/shard-part.ts";
import type { BlobSource } from "../../images/inputs/input-layers.ts";

/** Name of the file in which a part leaves its reports. */
export const REPORTS_FILE = "reports.jsonl";

/** What all parts of a job may have reported, in bytes of JSON: it is in memory while it is merged. */
const REPORTS_BYTES_MAX = 256 * 1024 * 1024;

export interface PartReports {
  /** Where they are; undefined where there are none. */
  readonly file: string | undefined;
  /** Why they cannot be had; null where they can. */
  readonly fault: string | null;
}

/** Fetches what each part has reported, in their order. @param directory made when it is missing */
export async function fetchReports(
  parts: readonly PartStanding[],
  blobs: BlobSource,
  directory: string,
): Promise<PartReports[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const reports: PartReports[] = [];
  let bytesLeft = REPORTS_BYTES_MAX;
  for (const [index, part] of parts.entries()) {
    // One that was stopped may have done something before.
    const file = "result" in part ? part.result?.files.find(({ path }) => path === REPORTS_FILE) : undefined;
    if (file === undefined) reports.push({ file: undefined, fault: null });
    else if ("error" in file) reports.push({ file: undefined, fault: file.error });
    else if (file.bytes > bytesLeft) {
      reports.push({ file: undefined, fault: "the reports of all shards are too large to be merged" });
    } else {
      bytesLeft -= file.bytes;
      const blob = await blobs.open(file.blob);
      const path = join(directory, `reports-${index + 1}`);
      if (blob !== undefined) await pipeline(blob.content, createWriteStream(path, { mode: 0o600 }));
      reports.push(
        blob === undefined ? { file: undefined, fault: "its reports have expired" } : { file: path, fault: null },
      );
    }
  }
  return reports;
}
