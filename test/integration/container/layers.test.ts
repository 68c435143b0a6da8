import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { probeOverlay } from "../../../worker/container/overlay-support.ts";
import type { Layer } from "../../../worker/container/spec.ts";
import { LAYERS_MAX } from "../../../worker/images/unpack/limits.ts";
import { TestSlot, text } from "../../support/container.ts";
import { mountsOf } from "../../support/mounts.ts";

/** Every kernel takes paths; from one that takes descriptors, both are asked for. */
const waysToStack = probeOverlay() === "descriptors" ? (["descriptors", "paths"] as const) : (["paths"] as const);

/** With names of full length these would not fit into the page that mount(2) takes. */
const MANY_LAYERS = LAYERS_MAX;

const directory = mkdtempSync(join(tmpdir(), "longshore-layers-"));
const manyLayers = Array.from({ length: MANY_LAYERS }, (_, index): Layer => {
  const path = join(directory, String(index));
  mkdirSync(path);
  writeFileSync(join(path, "topmost"), `${index}\n`);
  writeFileSync(join(path, `from-${index}`), "");
  return { kind: "directory", path };
});
afterAll(() => rmSync(directory, { recursive: true }));

describe.each(waysToStack)("layers stacked by %s", (overlay) => {
  let slot: TestSlot;
  beforeAll(async () => {
    slot = await TestSlot.open("python", { overlay });
  });
  afterAll(() => slot[Symbol.asyncDispose]());
  const mounts = () => mountsOf(process.pid, slot.directory);

  it.each(["writable", "readonly"] as const)("may be many, the last on top, under a %s root", async (rootfs) => {
    const layers = [...slot.layers, ...manyLayers];
    const result = await slot.bash("cat /topmost; ls / | grep -c from-; touch /work/new; echo $?", { layers, rootfs });
    expect(text(result.stdout)).toBe(`${MANY_LAYERS - 1}\n${MANY_LAYERS}\n0\n`);
  });

  it("hide what they delete, wherever in a tall stack they are", async () => {
    const stack = join(directory, "deletions");
    const layers = Array.from({ length: 20 }, (_, index): Layer => {
      const path = join(stack, overlay, String(index));
      mkdirSync(join(path, "opt/hidden"), { recursive: true });
      mkdirSync(join(path, "opt/shown"));
      for (const name of ["early", "late", "back"]) if (index === 3) writeFileSync(join(path, "opt", name), "3\n");
      writeFileSync(join(path, "opt/hidden", String(index)), "");
      writeFileSync(join(path, "opt/shown", String(index)), "");
      return { kind: "directory", path };
    });
    const at = (index: number, path: string) => join(stack, overlay, String(index), "opt", path);
    for (const path of [at(5, "early"), at(19, "late"), at(6, "back")]) execFileSync("mknod", [path, "c", "0", "0"]);
    writeFileSync(at(18, "back"), "18\n");
    for (const index of [4, 17]) {
      execFileSync("setfattr", ["-n", "trusted.overlay.opaque", "-v", "y", at(index, "hidden")]);
    }
    const script = "cd /opt; ls | xargs; cat back; ls hidden | sort -n | xargs; ls shown | wc -l; cat late early";
    const { stdout } = await slot.bash(script, { layers: [...slot.layers, ...layers] });
    expect(text(stdout)).toBe("back hidden shown\n18\n17 18 19\n20\n");
  });

  it("are seen as they are now when another image took their place", async () => {
    const layers = Array.from({ length: 9 }, (_, index): Layer => {
      const path = join(directory, "exchanged", overlay, String(index));
      mkdirSync(path, { recursive: true });
      if (index === 2) writeFileSync(join(path, "which"), "old\n");
      return { kind: "directory", path };
    });
    const which = async () => text((await slot.bash("cat /which", { layers: [...slot.layers, ...layers] })).stdout);
    expect(await which()).toBe("old\n");
    const path = join(directory, "exchanged", overlay, "2");
    renameSync(path, `${path}.gone`);
    mkdirSync(path);
    writeFileSync(join(path, "which"), "new\n");
    expect(await which()).toBe("new\n");
  });

  it("may be kept ones, also two at once and over one another", async () => {
    await slot.bash("echo one > first; echo one > both", { keepLayerAs: "one" });
    const one: Layer = { kind: "kept", name: "one" };
    await slot.bash("cat first > second; echo two > both", { layers: [...slot.layers, one], keepLayerAs: "two" });
    const layers: Layer[] = [...slot.layers, one, { kind: "kept", name: "two" }];
    const result = await slot.bash("cat first second both; echo three > both", { layers });
    expect(text(result.stdout)).toBe("one\none\ntwo\n");
    expect(text((await slot.bash("cat both", { layers })).stdout)).toBe("two\n");
    for (const name of ["one", "two"]) await slot.slot.release(name);
  });

  it("are read where the slot says, as long as they are kept", async () => {
    await slot.bash("echo x > file; rm -r /work/none 2> /dev/null; mkdir dir", { keepLayerAs: "read" });
    const { path, idBase } = await slot.slot.keptLayer("read");
    expect(readFileSync(join(path, "work/file"), "utf8")).toBe("x\n");
    expect(statSync(join(path, "work/file")).uid).toBe(idBase + 1000);
    await slot.slot.release("read");
    expect(() => readdirSync(path)).toThrow("ENOENT");
    await expect(slot.slot.keptLayer("read")).rejects.toThrow("keeps no layer named read");
  });

  it("are not mounted any more when the run that was to keep one was canceled or could not begin", async () => {
    await slot.bash("true");
    const before = mounts();
    const cancel = new AbortController();
    const running = slot.attempt(slot.spec(["sleep", "100"], { keepLayerAs: "canceled" }), cancel.signal);
    cancel.abort();
    expect(await running).toEqual({ kind: "canceled" });
    const full = { diskBytes: 4096 };
    const files = [{ path: "too-large", content: Buffer.alloc(1 << 20), executable: false }];
    const failed = await slot.attempt(slot.spec(["true"], { keepLayerAs: "failed", limits: full, files }));
    expect(failed).toMatchObject({ kind: "failed", purpose: "files" });
    expect(mounts()).toEqual(before);
  });

  it("are let go of when a kept one is released", async () => {
    await slot.bash("true");
    const before = mounts();
    await slot.bash("echo built > program", { keepLayerAs: "build" });
    await slot.bash("echo again > program", { keepLayerAs: "build" });
    await slot.slot.release("build");
    expect(mounts()).toEqual(before);
    const layers: Layer[] = [...slot.layers, { kind: "kept", name: "build" }];
    await expect(slot.attempt(slot.spec(["true"], { layers }))).rejects.toThrow("keeps no layer named build");
  });

  it("may be others for every container without end: few stay mounted, and descriptors do not add up", async () => {
    const another = mkdtempSync(join(tmpdir(), "longshore-other-layers-"));
    let made = 0;
    const run = async (): Promise<number> => {
      const layers = Array.from({ length: 200 }, (): Layer => {
        const path = join(another, String(made++));
        mkdirSync(path);
        writeFileSync(join(path, "topmost"), `${made}\n`);
        return { kind: "directory", path };
      });
      expect(text((await slot.bash("cat /topmost", { layers: [...slot.layers, ...layers] })).stdout)).toBe(`${made}\n`);
      await slot.bash("true");
      return readdirSync("/proc/self/fd").length + mounts().length;
    };
    try {
      const held = [];
      for (let runs = 0; runs < 8; runs++) held.push(await run());
      // After the fourth, there are as many as may stay.
      expect(Math.max(...held.slice(4))).toBeLessThan((held[3] ?? 0) + 200);
      // One that was let go of is mounted again.
      const first: Layer = { kind: "directory", path: join(another, "0") };
      expect(text((await slot.bash("cat /topmost", { layers: [...slot.layers, first] })).stdout)).toBe("1\n");
    } finally {
      rmSync(another, { recursive: true });
    }
  });
});
