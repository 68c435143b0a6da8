/** Where the time of a container goes: the slot's phases, and the groups of the plan's steps. */
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { dissect, type Dissection, ticksPerNanosecond } from "../dissection.ts";
import { type Findings, tabulateStatistics } from "../report.ts";
import { interleave } from "../rounds.ts";
import { type Statistics, summarize } from "../statistics.ts";
import { ContainerThread } from "../threads.ts";
import type { Rootfs, Workbench } from "../workbench.ts";

const roots: readonly Rootfs[] = ["readonly", "writable"];

const titles: Readonly<Record<keyof Dissection, string>> = {
  slot: "the slot's thread",
  processes: "from the launcher to init's end",
};

/** `npm run bench -- steps` */
export const steps: BenchProgram = {
  name: "steps",
  title: "Where the time of a container goes",
  summary: "where the time of a container goes: phases of the slot, groups of the plan's steps",
  subjects: roots,
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  await using thread = new ContainerThread(bench, 0);
  const subjects = roots
    .filter((rootfs) => options.only?.includes(rootfs) ?? true)
    .map((rootfs) => ({ name: rootfs, measure: () => thread.observe(rootfs) }));
  const observations = await interleave(subjects, options);

  const rate = ticksPerNanosecond([...observations.values()].flat());
  const kinds = Object.keys(titles) as (keyof Dissection)[];
  const results = [...observations].flatMap(([rootfs, samples]) => {
    const dissections = samples.map((observation) => dissect(observation, rate));
    return kinds.map((kind) => ({ rootfs, kind, parts: summarizeParts(dissections.map((one) => one[kind])) }));
  });
  return {
    tables: results.map(({ rootfs, kind, parts }) =>
      tabulateStatistics(`${rootfs} root: ${titles[kind]}, µs`, "part", parts, 1),
    ),
    notes: [
      "Each part is everything since the one before it. Medians of parts do not add up to the median of the total.",
      "What the launcher, init and the payload do falls into the slot's phases spawn, launcher and supervise.",
      `The time-stamp counter makes ${(rate * 1000).toFixed(1)} ticks a µs.`,
    ],
    data: {
      unit: "µs",
      ticksPerMicrosecond: rate * 1000,
      results: results.map(({ rootfs, kind, parts }) => ({ rootfs, kind, parts: Object.fromEntries(parts) })),
    },
  };
}

type Parts = ReadonlyMap<string, Statistics>;

/** In microseconds, in the order of the first round. */
function summarizeParts(rounds: readonly ReadonlyMap<string, number>[]): Parts {
  const names = new Set(rounds.flatMap((round) => [...round.keys()]));
  return new Map([...names].map((name) => [name, summarize(rounds.flatMap((round) => microseconds(round.get(name))))]));
}

function microseconds(nanoseconds: number | undefined): number[] {
  return nanoseconds === undefined ? [] : [nanoseconds / 1000];
}
