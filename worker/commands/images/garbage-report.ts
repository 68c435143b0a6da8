import type { GarbageReport } from "../../images/garbage.ts";
import { megabytes } from "./summary.ts";

/** A garbage collection in one line. */
export function describeGarbage(report: GarbageReport | undefined): string {
  if (report === undefined) return "an image is being added right now: longshore images gc frees the space later";
  const { layers, blobs, bytesLeft } = report;
  return `${layers} layers and ${blobs} blobs removed, ${megabytes(bytesLeft)} left`;
}
