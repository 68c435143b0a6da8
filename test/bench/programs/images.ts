/** Images: how fast layers are unpacked, what many layers cost a container, what a second pull transfers. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { cpuTimeMs } from "../cpu-time.ts";
import { makeLayerStack, makeUnseenStacks, stackHeights } from "../images/layer-stack.ts";
import { countPulls, type Transfer } from "../images/pull.ts";
import { makeSampleLayer, type SampleLayer } from "../images/sample-layer.ts";
import { sync, tryUnpacker, type Unpacker, unpackers } from "../images/unpack.ts";
import { type Findings, type Table, tabulateStatistics } from "../report.ts";
import { interleave } from "../rounds.ts";
import { type Statistics, summarize } from "../statistics.ts";
import { derive, type Formula, tabulateDerived } from "../targets.ts";
import { ContainerThread } from "../threads.ts";
import type { Workbench } from "../workbench.ts";

const starts = stackHeights.map((height) => `layers-${height}`);
const UNSEEN_HEIGHT = 60;
const UNSEEN = `layers-${UNSEEN_HEIGHT}-unseen`;
const PULL = "pull";

const UNPACKINGS_MAX = 5;

const formulas: readonly Formula[] = [
  ...["gzip", "zstd"].flatMap((compression): Formula[] => [
    {
      name: `longshore ÷ tar, ${compression}`,
      of: [`longshore-${compression}`, `tar-${compression}`],
      kind: "ratio",
      target: { kind: "at most", value: 1.3 },
    },
    {
      name: `longshore ÷ tar, ${compression}, CPU time`,
      of: [cpuOf(`longshore-${compression}`), cpuOf(`tar-${compression}`)],
      kind: "ratio",
      target: { kind: "at most", value: 1.3 },
    },
    {
      name: `umoci ÷ longshore, ${compression}`,
      of: [`umoci-${compression}`, `longshore-${compression}`],
      kind: "ratio",
      target: { kind: "at least", value: 1 },
    },
  ]),
  ...starts.slice(1).map((name): Formula => ({
    name: `${name} − layers-1`,
    of: [name, "layers-1"],
    kind: "difference",
    target: { kind: "at most", value: 0.5 },
  })),
];

/** `npm run bench -- images` */
export const images: BenchProgram = {
  name: "images",
  title: "Images: unpacking a layer, starting from many layers, pulling again",
  summary: "unpacking a layer beside tar and umoci, starting from many layers, bytes of a second pull",
  subjects: [...unpackers.map(({ name }) => name), ...starts, UNSEEN, PULL],
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  const isWanted = (name: string): boolean => options.only?.includes(name) ?? true;
  const parts: Part[] = [];
  const wanted = unpackers.filter(({ name }) => isWanted(name));
  if (wanted.length > 0) parts.push(await measureUnpacking(bench, wanted, options));
  const wantedStarts = [...starts, UNSEEN].filter(isWanted);
  if (wantedStarts.length > 0) parts.push(await measureStarts(bench, wantedStarts, options));
  const derived = derive(new Map(parts.flatMap(({ statistics }) => [...statistics])), formulas);
  const pulls = isWanted(PULL) ? await countPulls(join(bench.directory, "registry")) : undefined;
  return {
    tables: [
      ...parts.flatMap(({ tables }) => tables),
      ...(pulls === undefined ? [] : [tabulateTransfers(pulls)]),
      ...(derived.length === 0 ? [] : [tabulateDerived(derived)]),
    ],
    notes: parts.flatMap(({ notes }) => notes),
    data: {
      unit: "ms",
      candidates: parts.flatMap(({ statistics, samples }) =>
        [...statistics].map(([name, summary]) => ({ name, summary, samples: samples.get(name) })),
      ),
      ...(pulls !== undefined && { pulls }),
      derived,
    },
  };
}

/** Under which name the CPU time of a candidate is. */
function cpuOf(name: string): string {
  return `${name}-cpu`;
}

/** What was measured together. */
interface Part {
  readonly tables: readonly Table[];
  readonly notes: readonly string[];
  /** In milliseconds. */
  readonly samples: ReadonlyMap<string, readonly number[]>;
  readonly statistics: ReadonlyMap<string, Statistics>;
}

async function measureUnpacking(bench: Workbench, wanted: readonly Unpacker[], options: ProgramOptions): Promise<Part> {
  const directory = join(bench.directory, "unpacked");
  await mkdir(directory);
  const layer = await makeSampleLayer(join(bench.directory, "sample"));
  const obstacles = new Map<string, string>();
  for (const unpacker of wanted) {
    options.signal.throwIfAborted();
    const obstacle = await tryUnpacker(unpacker, layer, directory);
    if (obstacle !== undefined) obstacles.set(unpacker.name, obstacle);
  }
  let unpackings = 0;
  const subjects = wanted
    .filter(({ name }) => !obstacles.has(name))
    .map(({ name, unpack }) => ({
      name,
      async measure() {
        // All trees stay until the end: for a minute, ext4 looks at the inodes of what was removed before it makes new
        // ones, and whoever comes after a removal would pay for it.
        const target = join(directory, String(unpackings++));
        sync(directory);
        const [began, cpuBefore] = [performance.now(), cpuTimeMs()];
        await unpack(layer, target);
        return { wall: performance.now() - began, cpu: cpuTimeMs() - cpuBefore };
      },
    }));
  const rounds = Math.min(options.rounds, UNPACKINGS_MAX);
  const unpacked = await interleave(subjects, { ...options, rounds, warmUp: 0, onRound: () => undefined });
  const walls = new Map([...unpacked].map(([name, times]) => [name, times.map(({ wall }) => wall)]));
  const cpus = new Map([...unpacked].map(([name, times]) => [cpuOf(name), times.map(({ cpu }) => cpu)]));
  const samples = new Map([...walls, ...cpus]);
  const title = `Unpacking ${describeLayer(layer)}`;
  return {
    tables: [
      tabulateStatistics(`${title}, milliseconds`, "candidate", summarizeAll(walls), 0),
      tabulateStatistics("CPU time of that, milliseconds", "candidate", summarizeAll(cpus), 0),
    ],
    notes: [
      "Unpacking includes writing everything to the disk (syncfs), which tar and umoci do not do by themselves.",
      "CPU time is that of all threads and processes together: on a busy machine it says more than the time on the clock.",
      ...wanted.map(
        ({ name, note }) => `${name}: ${obstacles.has(name) ? `not measured: ${obstacles.get(name)}` : note}.`,
      ),
    ],
    samples,
    statistics: summarizeAll(samples),
  };
}

function describeLayer({ bytes, entries, blobs }: SampleLayer): string {
  const megabytes = (count: number): string => `${(count / 1e6).toFixed(0)} MB`;
  const { gzip, zstd } = blobs;
  return `${entries} files of ${megabytes(bytes)} (gzip ${megabytes(gzip.bytes)}, zstd ${megabytes(zstd.bytes)})`;
}

async function measureStarts(bench: Workbench, wanted: readonly string[], options: ProgramOptions): Promise<Part> {
  await using thread = new ContainerThread(bench, 0);
  const subjects = [];
  for (const [index, height] of stackHeights.entries()) {
    const name = starts[index] ?? "";
    if (!wanted.includes(name)) continue;
    const layers = await makeLayerStack(bench, height);
    subjects.push({ name, measure: async () => (await thread.time("writable", layers)).result / 1e6 });
  }
  if (wanted.includes(UNSEEN)) {
    const nextStack = await makeUnseenStacks(bench, UNSEEN_HEIGHT);
    const measure = async () => (await thread.time("writable", await nextStack())).result / 1e6;
    subjects.push({ name: UNSEEN, measure });
  }
  const samples = await interleave(subjects, options);
  const statistics = summarizeAll(samples);
  return {
    tables: [tabulateStatistics("A container of so many layers, milliseconds", "candidate", statistics, 3)],
    notes: [
      "layers-N: a static program in a container with a writable root, inside the slot, until there is a result.",
      `${UNSEEN}: the same from an image that the slot has never seen, whose layers it mounts and merges first.`,
    ],
    samples,
    statistics,
  };
}

function summarizeAll(samples: ReadonlyMap<string, readonly number[]>): Map<string, Statistics> {
  return new Map([...samples].map(([name, values]) => [name, summarize(values)]));
}

function tabulateTransfers({ first, second }: Readonly<Record<"first" | "second", Transfer>>): Table {
  const row = (name: string, { requests, blobBytes, otherBytes }: Transfer) => ({
    name,
    cells: [String(requests), String(blobBytes), String(otherBytes)],
  });
  return {
    title: "Pulling an image of 5 layers from docker-registry, twice",
    columns: ["pull", "requests", "bytes of blobs", "other bytes"],
    rows: [row("first", first), row("second", second)],
  };
}
