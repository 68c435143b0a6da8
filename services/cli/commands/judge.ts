import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { Command, Option } from "commander";
import type { Config } from "../../../shared/config.ts";
import { encodeContent } from "../../../shared/content.ts";
import { isDigest } from "../../../shared/digest.ts";
import { type Client, createClient } from "../client.ts";
import { exitCodeOfJudge } from "../exit-codes.ts";
import { caseLineSchema, JudgeReport } from "../judge-report.ts";
import { guessLanguage } from "../languages.ts";
import { type DataFile, readProblem } from "../problem.ts";
import { report } from "../report.ts";
import { followJob, settleJob } from "../watch-job.ts";

interface Options {
  readonly language?: string;
  readonly stopOn?: string;
  readonly repeat?: string;
  readonly json?: true;
}

/** Larger files become blobs, which are sent when they are new only. */
const INLINE_BYTES_MAX = 2048;

/** `longshore judge`: a submission on a problem's cases, with a line for each. */
export function judgeCommand(config: () => Config): Command {
  return new Command("judge")
    .description("judge a submission on the cases of a problem")
    .argument("<problem>", "directory with cases/NAME.in, cases/NAME.out, and problem.json if there is more to say")
    .argument("<source>", "the submission")
    .addOption(new Option("-l, --language <name>", "of the submission; guessed from its ending"))
    .addOption(
      new Option("--stop-on <event>", "what later cases are skipped for").choices([
        "first-failure",
        "group-failure",
        "never",
      ]),
    )
    .option("--repeat <count>", "run each case as often, to see how far times are apart")
    .option("--json", "print the finished job as JSON instead of lines")
    .addHelpText("after", exitCodeHelp)
    .action((problem: string, source: string, options: Options) => judge(config(), problem, source, options));
}

const exitCodeHelp = `
Exit codes: 0 when the submission was accepted, 1 when it was not; 125 when it was not judged: the problem is not
complete, the API refused it or could not be reached, or the job failed.`;

async function judge(config: Config, directory: string, sourceFile: string, options: Options): Promise<void> {
  const language = options.language ?? guessLanguage(sourceFile);
  if (language === undefined) throw new Error(`the ending of ${sourceFile} names no language: add --language`);
  const [problem, source] = await Promise.all([readProblem(directory), readFile(sourceFile, "utf8")]);
  const client = createClient(config);
  const cases: object[] = [];
  for (const { name, group, stdin, expected } of problem.cases) {
    cases.push({
      name,
      ...(group !== undefined && { group }),
      stdin: await describeData(client, stdin),
      ...(expected !== undefined && { expected: await describeData(client, expected) }),
      ...problem.settings[name],
    });
  }
  const { id } = await client.submit({
    kind: "judge",
    ...problem.fields,
    language,
    source,
    cases,
    ...(options.stopOn !== undefined && { stopOn: options.stopOn }),
    ...(options.repeat !== undefined && { repeat: Number(options.repeat) }),
  });
  const lines = options.json === true ? undefined : new JudgeReport(problem.cases.map(({ name }) => name));
  const how = await followJob(client, id, ({ name, data }) => {
    if (name === "case") lines?.case(caseLineSchema.parse(JSON.parse(data)));
  });
  const job = await settleJob(client, id, how);
  if (job.kind !== "judge") throw new Error(`the server answered with a job of kind ${job.kind}`);
  if (options.json === true) process.stdout.write(`${JSON.stringify(job, undefined, 2)}\n`);
  else if (job.result !== null) lines?.result(job.result);
  if (job.error !== null) report(`job ${id} failed: ${job.error.message} (${job.error.code})`);
  process.exitCode = exitCodeOfJudge(job);
}

async function describeData(client: Client, { path, bytes }: DataFile): Promise<object> {
  if (bytes <= INLINE_BYTES_MAX) return encodeContent(await readFile(path));
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  const digest = `sha256:${hash.digest("hex")}`;
  if (!isDigest(digest)) throw new TypeError(`${digest} is no digest`);
  await client.putBlob({ path, digest });
  return { blob: digest };
}
