/** Where the time of a container goes: the slot's phases, and the groups of the plan's steps. */
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { dissect, type Dissection, ticksPerNanosecond } from "../dissection.ts";
import { type Findings, tabulateStatistics } from "../report.ts";
import { interleave } from "../rounds.ts";
import { type Statistics, summarize } from "../statistics.ts";
import { type ContainerStart, ContainerThread } from "../threads.ts";
import type { Rootfs, Workbench } from "../workbench.ts";

/** Containers to be taken apart, by their name for `--only`. */
const containers: ReadonlyMap<string, { readonly rootfs: Rootfs; readonly start: ContainerStart }> = new Map([
  ["readonly", { rootfs: "readonly", start: "cold" }],
  ["writable", { rootfs: "writable", start: "cold" }],
  ["readonly-warm", { rootfs: "readonly", start: "warm" }],
  ["writable-warm", { rootfs: "writable", start: "warm" }],
]);

const titles: Readonly<Record<keyof Dissection, string>> = {
  slot: "the slot's thread",
  processes: "from init's preparation, or its release, to its end",
};

/** `npm run bench -- steps` */
export const steps: BenchProgram = {
  name: "steps",
  title: "Where the time of a container goes",
  summary: "where the time of a container goes: phases of the slot, groups of the plan's steps",
  subjects: [...containers.keys()],
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  await using thread = new ContainerThread(bench, 0);
  const subjects = [...containers]
    .filter(([name]) => options.only?.includes(name) ?? true)
    .map(([name, { rootfs, start }]) => ({ name, measure: () => thread.observe(rootfs, start) }));
  const observations = await interleave(subjects, options);

  const rate = ticksPerNanosecond([...observations.values()].flat());
  const kinds = Object.keys(titles) as (keyof Dissection)[];
  const results = [...observations].flatMap(([container, samples]) => {
    const dissections = samples.map((observation) => dissect(observation, rate));
    return kinds.map((kind) => ({ container, kind, parts: summarizeParts(dissections.map((one) => one[kind])) }));
  });
  return {
    tables: results.map(({ container, kind, parts }) =>
      tabulateStatistics(`${container}: ${titles[kind]}, µs`, "part", parts, 1),
    ),
    notes: [
      "Each part is everything since the one before it. Medians of parts do not add up to the median of the total.",
      "What init and the payload do falls into the slot's phases from the preparation on, beside what it does itself.",
      `The time-stamp counter makes ${(rate * 1000).toFixed(1)} ticks a µs.`,
    ],
    data: {
      unit: "µs",
      ticksPerMicrosecond: rate * 1000,
      results: results.map(({ container, kind, parts }) => ({ container, kind, parts: Object.fromEntries(parts) })),
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
