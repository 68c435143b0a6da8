/** What is to be true at the end, whatever broke: each accepted job has exactly one result, and it is right. */
import { isDeepStrictEqual } from "node:util";
import { isFinished, type Job } from "../../shared/job.ts";
import type { Load, Observation } from "./load/load.ts";
import { type Executions, readExecutions } from "./load/ledger.ts";
import type { ReportCounter } from "./load/reports.ts";

/** How often a job is started before it may fail; what the installation is configured with. */
export interface AuditOptions {
  readonly url: string;
  readonly ledger: string;
  readonly attempts: number;
}

/** Figures of a run. Those of `violations` have to be 0. */
export interface Audit {
  readonly jobs: {
    readonly posted: number;
    readonly accepted: number;
    readonly done: number;
    /** By error code, where retries ran out. */
    readonly failed: Readonly<Record<string, number>>;
  };
  /** Attempts beyond the first. */
  readonly retries: number;
  readonly executions: {
    readonly begun: number;
    readonly completed: number;
    /** Programs that got to their end more than once. */
    readonly duplicates: number;
  };
  readonly violations: {
    /** Accepted, and unknown or unfinished at the end. */
    readonly lost: number;
    /** Reported more than once, or not to everybody alike. */
    readonly duplicatesReported: number;
    readonly wrong: number;
    /** `failed` although there were attempts left, or without a reason. */
    readonly failedEarly: number;
    /** Nobody ever accepted them, although everything had been mended. */
    readonly neverAccepted: number;
    readonly waitersUnanswered: number;
    /** Answers that no fault excuses. */
    readonly unexpectedAnswers: number;
  };
  /** What each violation is about. */
  readonly notes: readonly string[];
}

/** Asks for every job once more, and compares. */
export async function audit(load: Load, reports: ReportCounter, options: AuditOptions): Promise<Audit> {
  const notes: string[] = [];
  const failed: Record<string, number> = {};
  const executions = { begun: 0, completed: 0, duplicates: 0 };
  const violations = {
    lost: 0,
    duplicatesReported: 0,
    wrong: 0,
    failedEarly: 0,
    neverAccepted: 0,
    waitersUnanswered: load.client.waits.unanswered,
    unexpectedAnswers: load.client.complaints.length - load.client.waits.unanswered,
  };
  let [done, retries] = [0, 0];
  const violate = (kind: keyof typeof violations, { known, id }: Observation, what: string): void => {
    violations[kind] += 1;
    notes.push(`${kind}: ${known.name} ${id ?? known.key}: ${what}`);
  };

  for (const observation of load.observations) {
    const { known, id, seen } = observation;
    if (id === undefined) {
      violate("neverAccepted", observation, "posted until the end");
      continue;
    }
    const job = await get(options.url, id);
    if (job === undefined || !isFinished(job)) {
      violate("lost", observation, job === undefined ? "nobody knows it" : `it is ${job.state} at the end`);
      continue;
    }
    const told = seen.filter((other) => other !== undefined);
    if (told.some((other) => !isDeepStrictEqual(other, job)) || reports.of(id) > 1) {
      violate("duplicatesReported", observation, `${reports.of(id)} reports, to ${told.length} waiters`);
    }
    retries += Math.max(0, job.attempt - 1);
    if (job.state === "failed") {
      const code = job.error?.code ?? "no reason";
      failed[code] = (failed[code] ?? 0) + 1;
      if (job.error === null || job.attempt < options.attempts)
        violate("failedEarly", observation, `attempt ${job.attempt}: ${code}: ${job.error?.message}`);
    } else {
      done += 1;
      const fault =
        job.state === "done" ? await known.check(job, (path) => load.client.output(id, path)) : `it is ${job.state}`;
      if (fault !== undefined) violate("wrong", observation, `attempt ${job.attempt}: ${fault}: ${excerpt(job)}`);
    }
    if (known.isInLedger) addUp(executions, readExecutions(options.ledger, known.key), job, observation, violate);
  }
  const posted = load.observations.length;
  return {
    jobs: { posted, accepted: posted - violations.neverAccepted, done, failed },
    retries,
    executions,
    violations,
    notes: [...notes, ...load.client.complaints],
  };
}

function addUp(
  sum: { begun: number; completed: number; duplicates: number },
  { begun, completed }: Executions,
  job: Job,
  observation: Observation,
  violate: (kind: "wrong", observation: Observation, what: string) => void,
): void {
  sum.begun += begun;
  sum.completed += completed;
  sum.duplicates += Math.max(0, completed - 1);
  if (job.state === "done" && completed === 0) violate("wrong", observation, "it is done and was never executed");
}

async function get(url: string, id: string): Promise<Job | undefined> {
  const response = await fetch(`${url}/v1/jobs/${id}`);
  if (response.status === 404) return undefined;
  // What is wrong with its form has been said by who waited for it.
  return (await response.json()) as Job;
}

function excerpt({ result, error }: Job): string {
  return JSON.stringify(result ?? error)?.slice(0, 300) ?? "";
}
