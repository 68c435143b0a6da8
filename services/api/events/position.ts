/**
 * How far somebody has followed a job: the id of a server-sent event.
 *
 * Wherever a reader was cut, and whichever API it comes back to, the id alone says what it has: the attempt, the number
 * of the last event, and, since the end of an output may come from the result, the bytes of each stream.
 */
import * as z from "zod";
import type { EventNumber } from "../../../shared/job-events.ts";

export interface Position extends EventNumber {
  /** What the reader was told of the job. */
  readonly told: "nothing" | "queued" | "running" | "result";
  /** Bytes of each stream of this attempt that it has. */
  readonly stdout: number;
  readonly stderr: number;
}

/** Of who has nothing. */
export const BEGINNING: Position = { told: "nothing", attempt: 0, sequence: 0, stdout: 0, stderr: 0 };

const letters = { nothing: "n", queued: "q", running: "r", result: "x" } as const;

const FORM = /^([nqrx])(\d{1,9})-(\d{1,15})-(\d{1,15})-(\d{1,15})$/;

/** What a client sends back as Last-Event-ID. */
export const positionSchema = z
  .string()
  .regex(FORM, { error: "is not the id of an event of a job" })
  .meta({
    description: "the id of the last event that was received: what follows it is sent",
    examples: ["r1-3-120-0"],
  });

export function formatPosition({ told, attempt, sequence, stdout, stderr }: Position): string {
  return `${letters[told]}${attempt}-${sequence}-${stdout}-${stderr}`;
}

/** @returns nothing for what no event has as its id */
export function parsePosition(text: string): Position | undefined {
  const [, letter, ...numbers] = FORM.exec(text) ?? [];
  const [attempt, sequence, stdout, stderr] = numbers.map(Number);
  const told = Object.entries(letters).find(([, known]) => known === letter)?.[0] as Position["told"] | undefined;
  if (told === undefined || attempt === undefined || sequence === undefined) return undefined;
  if (stdout === undefined || stderr === undefined) return undefined;
  return { told, attempt, sequence, stdout, stderr };
}
