/** Jobs whose answer is known before they are posted. */
import { createHash, randomUUID } from "node:crypto";
import { type Job, type JudgeJob, judgeJobSchema, type RunJob, runJobSchema } from "../../../shared/job.ts";
import type { Random } from "../random.ts";
import { LEDGER } from "../machine/installation.ts";

/** Reads a file that a job returned. */
export type ReadOutput = (path: string) => Promise<Buffer>;

export interface KnownJob {
  readonly name: string;
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly request: object;
  /** Whether it writes into the ledger when it begins and when it ends. */
  readonly isInLedger: boolean;
  /** What is wrong with a job that is `done`; undefined if nothing is. */
  check(job: Job, read: ReadOutput): Promise<string | undefined>;
}

type Maker = (random: Random, key: string) => Omit<KnownJob, "key">;

/** Longer than anything here takes, also while its worker is stopped. */
const limits = { wallTimeMs: 60_000 };

const volumes = [{ name: LEDGER, at: "/ledger", mode: "rw" }];

/** A line for each time that the program begins, and one for each time that it gets to its end. */
const noted = (program: string): string => `echo start >> "/ledger/$1"; ${program}; echo end >> "/ledger/$1"`;

const makers: readonly Maker[] = [
  (random, key) => {
    const [a, b] = [random.whole(0, 1e6), random.whole(0, 1e6)];
    const seconds = random.pick(["0", "0.2", "0.5", "1", "3"]);
    const source = noted('sleep "$2"; echo $(( $3 * $4 ))');
    return run("product", { source, arguments: [key, seconds, String(a), String(b)], limits, volumes }, ({ result }) =>
      result?.outcome === "exited" && result.exitCode === 0 ? differ(result.stdout.content, `${a * b}\n`) : "it failed",
    );
  },
  (random, key) => {
    const text = Array.from({ length: random.whole(10, 4000) }, () => random.whole(0, 1e9)).join("\n");
    const request = { source: noted("cat"), arguments: [key], stdin: text, limits, volumes };
    return run("mirror", request, ({ result }) => differ(result?.stdout.content ?? "", text));
  },
  (random, key) => {
    const count = random.pick([1000, 200_000]);
    const content = Buffer.from(Array.from({ length: count }, (_, n) => `${n + 1}\n`).join(""));
    const request = {
      source: noted('seq "$2" > out.txt'),
      arguments: [key, String(count)],
      outputs: ["*.txt"],
      limits,
      volumes,
    };
    return run("file", request, async ({ result }, read) => {
      const [entry] = result?.outputs ?? [];
      if (entry === undefined || !("sha256" in entry)) return `no file was returned: ${JSON.stringify(entry)}`;
      if (entry.sha256 !== sha256(content)) return "the file's digest is wrong";
      return content.equals(await read(entry.path)) ? undefined : "the file's content is wrong";
    });
  },
  (random, key) => {
    const exitCode = random.whole(1, 125);
    const request = { source: `${noted("sleep 0.1")}; exit ${exitCode}`, arguments: [key], limits, volumes };
    return run("exit code", request, ({ result }) => differ(result?.exitCode, exitCode));
  },
  () =>
    run(
      "memory limit",
      { source: "head -c 500000000 /dev/zero | tail", limits: { ...limits, memoryBytes: 32 * 1024 ** 2 } },
      ({ result }) => differ(result?.outcome, "memory_limit"),
    ),
  () =>
    run("time limit", { source: "sleep 1000", limits: { wallTimeMs: 700 } }, ({ result }) =>
      differ(result?.outcome, "wall_limit"),
    ),
  (random) => {
    const [count, wrong] = [random.whole(2, 6), random.whole(0, 5)];
    const cases = Array.from({ length: count }, (_, n) => ({
      name: String(n),
      stdin: `${n}\n`,
      expected: `${n * n}\n`,
    }));
    const source = `read -r n; sleep 0.2; if [ "$n" = ${wrong} ]; then echo wrong; else echo $((n * n)); fi`;
    return {
      name: "judge",
      isInLedger: false,
      request: { kind: "judge", language: "bash", source, cases, stopOn: "never" },
      async check(job) {
        const { result }: JudgeJob = judgeJobSchema.parse(job);
        const verdicts = result?.cases.map(({ verdict }) => verdict).join(" ");
        return differ(verdicts, cases.map((_, n) => (n === wrong ? "wrong_answer" : "accepted")).join(" "));
      },
    };
  },
];

/** Makes a job of one kind or another, as chance has it. */
export function makeKnownJob(random: Random): KnownJob {
  const key = randomUUID();
  return { key, ...random.pick(makers)(random, key) };
}

function run(
  name: string,
  request: object,
  check: (job: RunJob, read: ReadOutput) => string | undefined | Promise<string | undefined>,
): Omit<KnownJob, "key"> {
  return {
    name,
    isInLedger: "volumes" in request,
    request: { kind: "run", language: "bash", ...request },
    check: async (job, read) => await check(runJobSchema.parse(job), read),
  };
}

function differ(actual: unknown, expected: unknown): string | undefined {
  if (actual === expected) return undefined;
  const [is, shouldBe] = [actual, expected].map((value) => JSON.stringify(value)?.slice(0, 100));
  return `it is ${is} instead of ${shouldBe}`;
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
