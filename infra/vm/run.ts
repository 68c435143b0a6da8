/**
 * `npm run test:v2 [-- [--minutes N] [--report FILE] COMMAND…]`: the tests of containers and cgroups on the oldest
 * kernel that Longshore supports, with pure cgroup v2, whatever this machine has.
 *
 *   host                                  virtual machine (QEMU, Debian 12's own kernel)
 *   run.ts ── system.ts: kernel, disk ──▶ init.sh ─▶ guest.sh ─▶ cgroup2, command
 *             images.ts: disk ──────────▶ /var/lib/longshore/images
 *             the project, read-only ───▶ /mnt/project, under an overlay
 *   stdout ◀──────── serial console ───── what the command prints
 *   exit code ◀──── isa-debug-exit ────── the command's status
 *
 * What a run with `--report infra/vm/RESULT.md` said last is in the tree.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { loadConfig } from "../../shared/config.ts";
import { type Artifact, cached } from "./cache.ts";
import { imagesArtifact } from "./images.ts";
import { type MachineEnding, runMachine } from "./machine.ts";
import { composeReport } from "./report.ts";
import { systemArtifact } from "./system.ts";

/**
 * What depends on the kernel or on cgroups, and needs no network; attacks all do. One file after the other, as one thread
 * emulates all processors, and with patience. Not in warm containers, which would be the same files once more.
 */
const DEFAULT_COMMAND = [
  ...["vitest", "run", "--project=unit", "--project=integration", "--project=security"],
  ...["--no-file-parallelism", "--testTimeout=300000"],
  ...["test/unit/cgroup", "test/integration/cgroup", "test/integration/container", "test/security"],
];
const DEFAULT_MINUTES = "90";
/** As timeout(1) exits. */
const EXIT_TIMED_OUT = 124;
const EXIT_BROKEN = 125;

function say(line: string): void {
  process.stderr.write(`longshore: ${line}\n`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: "string", default: DEFAULT_MINUTES }, report: { type: "string" } },
  });
  const { dataDirectory } = loadConfig(process.env);
  const prepare = (artifact: Artifact): Promise<string> =>
    cached(join(dataDirectory, "vm"), {
      ...artifact,
      build: async (path) => {
        say(`making the disk ${path}: up to a minute`);
        await artifact.build(path);
      },
    });
  const command = positionals.length > 0 ? positionals : DEFAULT_COMMAND;
  const output = new PassThrough();
  output.pipe(process.stdout, { end: false });
  const printed = text(output);
  const started = new Date();
  const ending = await runMachine({
    system: await prepare(await systemArtifact()),
    images: await prepare(await imagesArtifact(join(dataDirectory, "images"))),
    projectDirectory: join(import.meta.dirname, "../.."),
    command,
    output,
    timeLimitMs: Number(values.minutes) * 60_000,
  });
  output.end();
  const exitCode = explainEnding(ending, values.minutes);
  if (values.report !== undefined) {
    await writeFile(values.report, await composeReport({ command, started, exitCode, printed: await printed }));
  }
  return exitCode;
}

function explainEnding(ending: MachineEnding, minutes: string): number {
  switch (ending.kind) {
    case "exited":
      return ending.status;
    case "timed out":
      say(`the machine was ended after ${minutes} minutes: give it more with --minutes N`);
      return EXIT_TIMED_OUT;
    case "broken":
      say("the machine ended without a status: its console above tells why");
      return EXIT_BROKEN;
    default:
      return ending satisfies never;
  }
}

process.exitCode = await main();
