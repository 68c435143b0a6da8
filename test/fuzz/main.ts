/**
 * Fuzzes for as long as it is told: `npm run fuzz -- --minutes 10`. Targets take turns. What it finds goes to stdout with
 * the seed that shows it again, and makes the exit code 1; the other targets go on.
 */
import { randomInt } from "node:crypto";
import { Command, Option } from "commander";
import { parseMinutes, parseSeed } from "../../infra/options.ts";
import type { FuzzTarget } from "./target.ts";
import { pureTargets, systemTargets } from "./targets/index.ts";

/** How long a target's turn is, in milliseconds: long enough that opening it does not count. */
const TURN_MS = 5000;

/** No value is larger than some kilobytes: whatever takes longer is a way to keep a process busy. */
const SLOW_MS = 2000;

const targets = [...pureTargets, ...systemTargets];

interface CommandLine {
  readonly minutes: number;
  readonly only?: string;
  readonly seed?: number;
}

await new Command("fuzz")
  .description("give strangers' input to everything that takes it")
  .option("--minutes <n>", "for how long", parseMinutes, 1)
  .addOption(new Option("--only <name>", "one target").choices(targets.map(({ name }) => name)))
  .option("--seed <n>", "of the first turn, to see a finding again", parseSeed)
  .action(fuzz)
  .parseAsync();

async function fuzz({ minutes, only, seed }: CommandLine): Promise<void> {
  const chosen = targets.filter(({ name }) => only === undefined || name === only);
  const runs = new Map<FuzzTarget, number>();
  const broken = new Set<FuzzTarget>();
  const endMs = performance.now() + minutes * 60_000;
  for (let turn = 0; performance.now() < endMs && broken.size < chosen.length; turn++) {
    const target = chosen[turn % chosen.length];
    if (target === undefined || broken.has(target)) continue;
    const limitMs = Math.max(1, Math.min(TURN_MS, endMs - performance.now()));
    const turnSeed = turn === 0 && seed !== undefined ? seed : randomInt(2 ** 31);
    const how = { seed: turnSeed, runs: 2 ** 31 - 1, limitMs, slowMs: SLOW_MS };
    // What goes wrong around the values is a finding like any other.
    const report = await target.run(how).catch((error: Error) => ({ runs: 0, finding: error.stack }));
    runs.set(target, (runs.get(target) ?? 0) + report.runs);
    if (report.finding === undefined) continue;
    broken.add(target);
    console.log(
      `${target.name}: broken, see it again with --only '${target.name}' --seed ${turnSeed}\n${report.finding}`,
    );
  }
  for (const target of chosen) {
    console.log(`${target.name}: ${runs.get(target) ?? 0} values, ${broken.has(target) ? "broken" : "holds"}`);
  }
  if (broken.size > 0) process.exitCode = 1;
}
