/**
 * `npm run test:v2 [-- [--minutes N] [--machines N] [--report FILE] COMMAND…]`: the tests of containers and cgroups, and all
 * attacks, on the oldest kernel that Longshore supports, with pure cgroup v2, whatever this machine has.
 *
 *   host                                  virtual machine (QEMU, Debian 12's own kernel)
 *   run.ts ── system.ts: kernel, disk ──▶ init.sh ─▶ guest.sh ─▶ cgroup2, command
 *             images.ts: disk ──────────▶ /var/lib/longshore/images
 *             the project, read-only ───▶ /mnt/project, under an overlay
 *   stdout ◀──────── serial console ───── what the command prints
 *   exit code ◀──── isa-debug-exit ────── the command's status
 *
 * One thread emulates all processors of a machine. So tests are divided among as many machines as this one has processors,
 * by vitest's --shard. A command of one's own runs in one, unless it is vitest and --machines says otherwise.
 *
 * What a run with `--report infra/vm/RESULT.md` said last is in the tree.
 */
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { loadConfig } from "../../shared/config.ts";
import { parseCount, parseMinutes } from "../options.ts";
import { type Artifact, cached } from "./cache.ts";
import { imagesArtifact } from "./images.ts";
import { type MachineEnding, type MachineTask, runMachine } from "./machine.ts";
import { composeReport, type FinishedMachine } from "./report.ts";
import { systemArtifact } from "./system.ts";

/**
 * What depends on the kernel or on cgroups, and needs no network; attacks all do. One file after the other. Not in warm
 * containers, which would be the same files once more.
 */
const DEFAULT_COMMAND = [
  ...["vitest", "run", "--project=unit", "--project=integration", "--project=security"],
  "--no-file-parallelism",
  ...["test/unit/cgroup", "test/integration/cgroup", "test/integration/container", "test/security"],
];
/** Only against a machine that hangs: how long tests take depends on what else this one does. */
const DEFAULT_MINUTES = 180;
/** As timeout(1) exits. */
const EXIT_TIMED_OUT = 124;
const EXIT_BROKEN = 125;

function say(line: string): void {
  process.stderr.write(`longshore: ${line}\n`);
}

interface CommandLine {
  readonly minutes: number;
  readonly machines?: number;
  readonly report?: string;
}

async function test(positionals: readonly string[], options: CommandLine): Promise<void> {
  const timeLimitMs = options.minutes * 60_000;
  const { dataDirectory } = loadConfig(process.env);
  const prepare = (artifact: Artifact): Promise<string> =>
    cached(join(dataDirectory, "vm"), {
      ...artifact,
      build: async (path) => {
        say(`making the disk ${path}: up to a minute`);
        await artifact.build(path);
      },
    });
  const system = await prepare(await systemArtifact());
  const images = await prepare(await imagesArtifact(join(dataDirectory, "images")));
  const started = new Date();

  async function run(command: readonly string[]): Promise<FinishedMachine> {
    const output = new PassThrough();
    output.pipe(process.stdout, { end: false });
    const printed = text(output);
    const projectDirectory = join(import.meta.dirname, "../..");
    const task: MachineTask = { system, images, projectDirectory, command, output, timeLimitMs };
    const ending = await runMachine(task);
    output.end();
    return { exitCode: explainEnding(ending, options.minutes), printed: await printed };
  }

  const isOwn = positionals.length > 0;
  const command = isOwn ? positionals : DEFAULT_COMMAND;
  const count = options.machines ?? (isOwn ? 1 : availableParallelism());
  const machines = await Promise.all(divide(command, count).map(run));
  if (options.report !== undefined) {
    await writeFile(options.report, await composeReport({ command, started, machines }));
  }
  process.exitCode = machines.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0;
}

/** What each machine runs. */
function divide(command: readonly string[], machines: number): (readonly string[])[] {
  if (machines === 1) return [command];
  return Array.from({ length: machines }, (_, index) => [...command, `--shard=${index + 1}/${machines}`]);
}

function explainEnding(ending: MachineEnding, minutes: number): number {
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

await new Command("test:v2")
  .description("run tests in a virtual machine with Debian's kernel and pure cgroup v2")
  .argument("[command...]", "what runs there; all tests of containers, cgroups and attacks unless given")
  .option("--minutes <n>", "after which a machine is ended", parseMinutes, DEFAULT_MINUTES)
  .option("--machines <n>", "among which tests are divided", parseCount)
  .option("--report <file>", "write what the tests said to a file, too")
  // Those of the command are its own.
  .passThroughOptions()
  .action(test)
  .parseAsync();
