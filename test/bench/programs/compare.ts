/**
 * The program in a Longshore container, through all of Longshore, and in what else there is, beside the bare program.
 * Everything but HTTP is measured in a thread that starts programs as a slot does.
 */
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { bare } from "../candidates/bare.ts";
import { bubblewrap } from "../candidates/bubblewrap.ts";
import type { Candidate, Opening, Tools } from "../candidates/candidate.ts";
import { container } from "../candidates/container.ts";
import { http } from "../candidates/http.ts";
import { crun, runc } from "../candidates/oci-runtime.ts";
import { slot } from "../candidates/slot.ts";
import { type Findings, tabulateStatistics } from "../report.ts";
import { interleave } from "../rounds.ts";
import { summarize } from "../statistics.ts";
import { derive, tabulateDerived } from "../targets.ts";
import { ContainerThread, SpawnThread } from "../threads.ts";
import type { Workbench } from "../workbench.ts";

const candidates: readonly Candidate[] = [
  bare,
  container("readonly", "warm", "result"),
  container("writable", "warm", "result"),
  container("readonly", "cold", "result"),
  container("readonly", "cold", "whole"),
  container("writable", "cold", "result"),
  container("writable", "cold", "whole"),
  slot,
  http,
  crun,
  bubblewrap,
  runc,
];

/** `npm run bench` */
export const compare: BenchProgram = {
  name: "compare",
  title: "A static C program, bare, in containers, and through HTTP",
  summary: "a static C program bare, in a container, through HTTP, and in other runtimes (the default)",
  subjects: candidates.map(({ name }) => name),
  run,
};

interface Contestant {
  readonly candidate: Candidate;
  readonly opening: Opening;
}

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  await using resources = new AsyncDisposableStack();
  const tools: Tools = {
    bench,
    resources,
    spawner: resources.use(new SpawnThread(bench)),
    containers: resources.use(new ContainerThread(bench, 0)),
  };
  const contestants: Contestant[] = [];
  for (const candidate of candidates.filter(({ name }) => options.only?.includes(name) ?? true)) {
    options.signal.throwIfAborted();
    contestants.push({ candidate, opening: await candidate.open(tools) });
  }
  const subjects = contestants.flatMap(({ candidate: { name }, opening }) =>
    opening.kind === "ready" ? [{ name, measure: async () => (await opening.measure()) / 1e6 }] : [],
  );
  const samples = await interleave(subjects, options);
  const statistics = new Map([...samples].map(([name, values]) => [name, summarize(values)]));
  const derived = derive(statistics);
  return {
    tables: [
      tabulateStatistics("Milliseconds", "candidate", statistics, 3),
      ...(derived.length > 0 ? [tabulateDerived(derived)] : []),
    ],
    notes: [...contestants.flatMap(describe), ...COMMON_NOTES],
    data: {
      unit: "ms",
      candidates: [...statistics].map(([name, summary]) => ({ name, summary, samples: samples.get(name) })),
      unavailable: contestants.flatMap(({ candidate: { name }, opening }) =>
        opening.kind === "unavailable" ? [{ name, reason: opening.reason }] : [],
      ),
      derived,
    },
  };
}

const COMMON_NOTES = [
  "Spread is the distance between the quartiles. Derived figures are made from medians.",
  "Other runtimes see no cgroup v2 where v1's controllers are in use: crun refuses to work where both are.",
];

function describe({ candidate: { name, measures, lacks }, opening }: Contestant): string[] {
  if (opening.kind === "unavailable") return [`${name}: not measured: ${opening.reason}`];
  return [`${name}: ${measures}${lacks === undefined ? "" : `. Without: ${lacks}`}.`];
}
