/**
 * What Longshore holds when it has nothing to do: its processes, and each container that waits for a job, which is the
 * kernel's memory nearly all of it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Slot } from "../../../worker/container/slot.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { type MemoryAccount, memoryKinds, readMemory, shareOf, totalOf } from "../machine-memory.ts";
import { startLongshore } from "../longshore.ts";
import { footprintsOfChildren } from "../processes.ts";
import type { Findings, Table } from "../report.ts";
import { interleave } from "../rounds.ts";
import { type Statistics, summarize } from "../statistics.ts";
import { derive, type Formula, tabulateDerived } from "../targets.ts";
import type { Rootfs, Workbench } from "../workbench.ts";

const IDLE = "idle";

const SLOTS = 2;

/** Prepared at once: enough for what one takes to stand out from what the machine does meanwhile. */
const CONTAINERS = 64;

const WORKER = "worker, containers included";

const waitingName = (rootfs: Rootfs): string => `waiting-${rootfs}`;

const roots: readonly Rootfs[] = ["readonly", "writable"];

const formulas: readonly Formula[] = [
  {
    name: `${WORKER}, ${SLOTS} slots`,
    of: [WORKER],
    kind: "figure",
    unit: "MB",
    target: { kind: "at most", value: 150 },
  },
  ...roots.map((rootfs): Formula => ({
    name: `a container that waits, ${rootfs}`,
    of: [waitingName(rootfs)],
    kind: "figure",
    unit: "KB",
    target: { kind: "at most", value: 200 },
  })),
];

/** `npm run bench -- memory` */
export const memory: BenchProgram = {
  name: "memory",
  title: "What Longshore holds when it has nothing to do",
  summary: "memory of idle processes and of containers that wait; wants a machine that does nothing else",
  subjects: [IDLE, ...roots.map(waitingName)],
  rounds: { count: 10, warmUp: 2 },
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  const isWanted = (name: string): boolean => options.only?.includes(name) ?? true;
  const processes = isWanted(IDLE) ? await measureProcesses(bench) : new Map<string, number>();
  const { accounts, unrests } = await measureContainers(
    bench,
    roots.filter((rootfs) => isWanted(waitingName(rootfs))),
    options,
  );
  const statistics = new Map<string, Statistics>([
    ...[...processes].map(([name, bytes]) => [name, summarize([bytes / 1e6])] as const),
    ...[...accounts].map(
      ([name, samples]) => [name, summarize(samples.map((sample) => totalOf(sample) / 1e3))] as const,
    ),
  ]);
  const derived = derive(statistics, formulas);
  return {
    tables: [
      ...(processes.size === 0 ? [] : [tabulateProcesses(processes)]),
      ...(accounts.size === 0 ? [] : [tabulateAccounts(accounts)]),
      tabulateDerived(derived),
    ],
    notes: [
      "Resident memory of processes counts Node's own program, of which all of them share one copy.",
      `A container: what ${CONTAINERS} of them add to kinds of memory in /proc/meminfo, over their number.`,
      ...(unrests === 0
        ? []
        : [`The machine had something else to do: ${unrests} times its memory did not come to rest.`]),
    ],
    data: {
      unit: "bytes",
      derived,
      processes: Object.fromEntries(processes),
      containers: Object.fromEntries(accounts),
    },
  };
}

/** How often processes are looked at, until none of them holds less than before. */
const LOOK_EVERY_MS = 2000;

/** Resident bytes of each process, by name, once they have settled after their start. */
async function measureProcesses(bench: Workbench): Promise<ReadonlyMap<string, number>> {
  await using resources = new AsyncDisposableStack();
  await startLongshore(bench, resources, { settings: { LONGSHORE_SLOTS: String(SLOTS) } });
  for (let before = Infinity; ;) {
    await delay(LOOK_EVERY_MS);
    const footprints = footprintsOfChildren();
    const all = footprints.values().reduce((sum, { residentBytes }) => sum + residentBytes, 0);
    if (all >= before) return new Map([...footprints].map(([name, { residentBytes }]) => [name, residentBytes]));
    before = all;
  }
}

/**
 * How long the machine's memory has to stay as it is until it is read: what containers had is freed later, by the kernel's
 * own threads and after RCU's grace periods.
 */
const SETTLING_MS = 1500;

/** How long that is waited for: where something else runs, it may never be. */
const PATIENCE_MS = 15_000;

/** What counts as the same: what other processes take and give back meanwhile. */
const NOISE_BYTES = 256 * 1024;

/** What was measured of containers. */
interface ContainerAccounts {
  /** Bytes of each container, by its name, in every round. */
  readonly accounts: ReadonlyMap<string, readonly MemoryAccount[]>;
  /** How often the machine's memory was read although it did not come to rest. */
  readonly unrests: number;
}

async function measureContainers(
  bench: Workbench,
  kinds: readonly Rootfs[],
  options: ProgramOptions,
): Promise<ContainerAccounts> {
  const warmth = { containersMax: CONTAINERS, idleMs: Infinity };
  await using slot = await Slot.open({ ...bench.slotOptions(0), warmth });
  let unrests = 0;
  const settled = (): Promise<MemoryAccount> => settledMemory(() => unrests++);
  const accounts = await interleave(
    kinds.map((rootfs) => ({
      name: waitingName(rootfs),
      async measure() {
        const before = await settled();
        for (let index = 0; index < CONTAINERS; index++) await slot.prepareFor(ofOwnShape(bench.spec(rootfs), index));
        if (slot.waiting !== CONTAINERS) throw new Error(`of ${CONTAINERS} containers ${slot.waiting} wait`);
        const after = await settled();
        await slot.dropWaiting();
        return shareOf(before, after, CONTAINERS);
      },
    })),
    options,
  );
  return { accounts, unrests };
}

/** The machine's memory, once it has come to rest. @param onUnrest called where it has not, and was read all the same */
async function settledMemory(onUnrest: () => void): Promise<MemoryAccount> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let before = readMemory(); ;) {
    await delay(SETTLING_MS);
    const after = readMemory();
    if (Math.abs(totalOf(after) - totalOf(before)) < NOISE_BYTES) return after;
    if (performance.now() > deadline) {
      onUnrest();
      return after;
    }
    before = after;
  }
}

/** The spec with a disk of another size for each: one container waits for each shape. */
function ofOwnShape(spec: ContainerSpec, index: number): ContainerSpec {
  return { ...spec, limits: { ...spec.limits, diskBytes: spec.limits.diskBytes + index * 4096 } };
}

function tabulateProcesses(processes: ReadonlyMap<string, number>): Table {
  const rows = [...processes].map(([name, bytes]) => ({ name, cells: [(bytes / 1e6).toFixed(1)] }));
  return { title: "Resident memory of processes, MB", columns: ["process", "MB"], rows };
}

function tabulateAccounts(accounts: ReadonlyMap<string, readonly MemoryAccount[]>): Table {
  const rows = [...accounts].map(([name, samples]) => ({
    name,
    cells: [totalOf, ...memoryKinds.map((kind) => (sample: MemoryAccount) => sample[kind])].map((part) =>
      (summarize(samples.map(part)).median / 1e3).toFixed(1),
    ),
  }));
  return { title: "Memory of a container that waits, KB, medians", columns: ["", "all", ...memoryKinds], rows };
}
