/** The sandbox that waits in each slot, whatever its next job is. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { distinct } from "../../../worker/cgroup/v1/cgroup.ts";
import { detectCgroups } from "../../../worker/cgroup/detect.ts";
import { MiB, TestSlot, text } from "../../support/container.ts";

/** Directories of the worker's cgroups. */
function roots({ worker }: TestSlot): string[] {
  const layout = detectCgroups();
  const own = layout.version === 1 ? distinct(layout.directories) : [layout.directory];
  return own.map((directory) => `${directory}/longshore/${worker}`);
}

/** The sandboxes there are, by the names of their cgroups, with the processes in them. */
function sandboxes(slot: TestSlot): Map<string, number[]> {
  const [root = ""] = roots(slot);
  const names = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return new Map(
    names.map(({ name }) => {
      const processes = readFileSync(`${root}/${name}/cgroup.procs`, "utf8").split("\n").filter(Boolean);
      return [name, processes.map(Number)];
    }),
  );
}

/** The process in the only one, once it is there: it joins its cgroup by itself. */
async function waitingInit(slot: TestSlot): Promise<number> {
  return await vi.waitFor(() => {
    const [processes = [], ...others] = sandboxes(slot).values();
    const [init, ...further] = processes;
    if (init === undefined || others.length > 0 || further.length > 0)
      throw new Error("not one sandbox with one process");
    return init;
  });
}

/** Waits until the slot is done with everything that it was asked for. */
async function settle({ slot }: TestSlot): Promise<void> {
  await slot.release("nothing");
}

describe("the sandbox that waits in a slot", () => {
  it("is there before the first run and after each, once, and another one each time", async () => {
    await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
    const seen = new Set<number>();
    for (let run = 0; run < 3; run++) {
      await settle(slot);
      seen.add(await waitingInit(slot));
      expect((await slot.bash("true")).exitCode).toBe(0);
    }
    await settle(slot);
    expect(seen.size).toBe(3);
    expect(sandboxes(slot).size).toBe(1);
  });

  it("has nothing open but its socket, and what leads nowhere", async () => {
    await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
    await settle(slot);
    const init = await waitingInit(slot);
    const open = () => readdirSync(`/proc/${init}/fd`).map((name) => readlinkSync(`/proc/${init}/fd/${name}`));
    // It may be on its way still to where it waits.
    await vi.waitFor(() =>
      expect(open()).toEqual([...Array.from({ length: 3 }, () => "/dev/null"), expect.stringMatching(/^socket:/)]),
    );
  });

  it("is replaced when something has killed it", async () => {
    await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
    await settle(slot);
    const init = await waitingInit(slot);
    process.kill(init, "SIGKILL");
    await vi.waitFor(() => expect(readFileSync(`/proc/${init}/status`, "utf8")).toMatch(/^State:\tZ/m));
    expect(text((await slot.bash("echo ran")).stdout)).toBe("ran\n");
    await settle(slot);
    expect(await waitingInit(slot)).not.toBe(init);
    expect(existsSync(`/proc/${init}`)).toBe(false);
  });

  it.each([
    ["more", 64],
    ["less", 16],
  ])("has %s memory where its run may have that than the last one could", async (_, memory) => {
    await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
    const limits = { memoryBytes: memory * MiB, diskBytes: 256 * MiB, fileBytes: 256 * MiB };
    const fill = (mebibytes: number) => slot.bash(`head -c ${mebibytes}M /dev/zero >/dev/shm/x`, { limits });
    await slot.bash("true", { limits: { memoryBytes: 32 * MiB } });
    expect((await fill(memory * 2)).outcome).toBe("memory_limit");
    await slot.bash("true", { limits: { memoryBytes: 32 * MiB } });
    expect((await fill(memory * 0.75)).outcome).toBe("exited");
  });

  it("is there again after a run whose limits cannot be set", async () => {
    await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
    const spec = slot.spec(["true"], { limits: { cpus: 1e15 } });
    expect(await slot.slot.run(spec, new AbortController().signal)).toMatchObject({ kind: "failed" });
    expect((await slot.bash("true")).exitCode).toBe(0);
    await settle(slot);
    expect(sandboxes(slot).size).toBe(1);
  });

  it("goes with the slot", async () => {
    let init: number;
    let directories: string[];
    {
      await using slot = await TestSlot.open("bash", {}, 0, { containersMax: 0, idleMs: 0 });
      await settle(slot);
      init = await waitingInit(slot);
      directories = roots(slot);
    }
    expect(existsSync(`/proc/${init}`)).toBe(false);
    expect(directories.filter((directory) => existsSync(directory))).toEqual([]);
  });
});
