import { existsSync, mkdtempDisposableSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findCores } from "../../../worker/cgroup/cpuset/cores.ts";
import { parseCpuList } from "../../../worker/cgroup/cpuset/cpu-list.ts";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import { ContainerRuntime } from "../../../worker/container/runtime.ts";
import { TestSlot, text } from "../../support/container.ts";

const layout = detectCgroups();
const { order, memoryNodes } = findCores();
const [first = 0, second = 0] = order;

/** Below the ids of the slots of `TestSlot`. */
const ID_BASE = 2_990_000_000;

/** The cores that a program finds itself on, and what it gets when it asks for all of them. */
const PROGRAM = `
found() { sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/$$/status; }
found
taskset --pid --cpu-list 0-1023 $$ >/dev/null
found`;

/** Of the calling thread, on v1 where it joins; of whatever is in a cgroup below otherwise. */
function ownCores(): readonly number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1];
  return parseCpuList(list ?? "");
}

function ascending(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((one, other) => one - other);
}

describe.skipIf(layout.cpuset === undefined || order.length < 2)("slots with cores of their own", () => {
  test("hold containers to them, but one that may use more, whatever it asks for", async () => {
    using data = mkdtempDisposableSync(join(tmpdir(), "longshore-cpuset-"));
    await using image = await TestSlot.open("bash");
    const worker = `test-${process.pid}-cores`;
    const orders = [
      [first, second],
      [second, first],
    ];
    const options = { dataDirectory: data.path, idBase: ID_BASE, worker, cores: { orders, memoryNodes } };
    {
      using runtime = new ContainerRuntime(options);
      await using slot = await runtime.openSlot(0);
      await using other = await runtime.openSlot(1);
      const coresIn = async (place: typeof slot, cpus: number): Promise<(readonly number[])[]> => {
        const spec = image.spec(["bash", "-c", PROGRAM], { limits: { cpus } });
        const result = await place.run(spec, new AbortController().signal);
        if (result.kind !== "ended") throw new Error(`the container did not run: ${JSON.stringify(result)}`);
        expect(text(result.stderr)).toBe("");
        return text(result.stdout).trim().split("\n").map(parseCpuList);
      };
      const both = ascending([first, second]);
      expect(await coresIn(slot, 0.5)).toEqual([[first], [first]]);
      expect(await coresIn(other, 1)).toEqual([[second], [second]]);
      expect(await coresIn(slot, 2)).toEqual([both, both]);
      expect(await coresIn(slot, 1)).toEqual([[first], [first]]);
    }
    expect(ownCores()).toEqual(ascending(order));
    const own = layout.version === 1 ? layout.cpuset : layout.directory;
    expect(existsSync(join(own ?? "", "longshore", worker))).toBe(false);
  });

  test("are no obstacle to a worker that ends while their threads live", () => {
    const worker = `test-${process.pid}-hurry`;
    const cgroups = openCgroups({ layout, worker });
    cgroups.prepare();
    cgroups.prepareCores();
    const slot = openCgroups({ layout, worker, cores: { name: "slot-0", order: [second], memoryNodes } });
    slot.occupy();
    const own = layout.version === 1 ? (layout.cpuset ?? "") : layout.directory;
    const directory = join(own, "longshore", worker, "slot-0");
    expect(parseCpuList(readFileSync(join(directory, "cpuset.cpus"), "utf8"))).toEqual([second]);
    if (layout.version === 1) expect(ownCores()).toEqual([second]);
    cgroups.remove();
    expect(existsSync(directory)).toBe(false);
    expect(ownCores()).toEqual(ascending(order));
  });
});
