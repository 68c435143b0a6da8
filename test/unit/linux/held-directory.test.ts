import { existsSync, mkdirSync, mkdtempDisposableSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HeldDirectory } from "../../../worker/linux/held-directory.ts";

const MODULE = new URL("../../../worker/linux/held-directory.ts", import.meta.url).href;

function temporary(): { readonly path: string } & Disposable {
  return mkdtempDisposableSync(join(tmpdir(), "longshore-held-"));
}

describe("a directory that is held", () => {
  it("is nobody else's until it is let go of, and then can be had", () => {
    using directory = temporary();
    const path = join(directory.path, "own");
    {
      using _held = HeldDirectory.make(path);
      expect(HeldDirectory.tryHold(path)).toBeUndefined();
    }
    using again = HeldDirectory.tryHold(path);
    expect(again).toBeDefined();
  });

  it("can be had when the process that held it was killed, by whose children it is not held", async () => {
    using directory = temporary();
    const path = join(directory.path, "own");
    mkdirSync(path);
    const program = `
      const { HeldDirectory } = await import("${MODULE}");
      const { spawn } = await import("node:child_process");
      globalThis.held = HeldDirectory.tryHold(${JSON.stringify(path)});
      const { pid } = spawn("sleep", ["1000"], { stdio: "ignore" });
      console.log(pid);
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [printed] = (await once(holder.stdout, "data")) as [Buffer];
    const child = Number(printed.toString());
    try {
      expect(HeldDirectory.tryHold(path)).toBeUndefined();
      holder.kill("SIGKILL");
      await once(holder, "exit");
      expect(process.kill(child, 0)).toBe(true);
      using held = HeldDirectory.tryHold(path);
      expect(held).toBeDefined();
    } finally {
      process.kill(child, "SIGKILL");
    }
  });

  it("that is gone cannot be had", () => {
    using directory = temporary();
    expect(HeldDirectory.tryHold(join(directory.path, "gone"))).toBeUndefined();
  });

  it("is made again when somebody took it for abandoned, and removed it, before it was held", () => {
    using directory = temporary();
    const path = join(directory.path, "own");
    let times = 0;
    let sweeper: HeldDirectory | undefined;
    using _held = HeldDirectory.make(path, () => {
      times += 1;
      if (times === 2) {
        rmdirSync(path);
        sweeper?.[Symbol.dispose]();
      }
      if (!existsSync(path)) mkdirSync(path);
      if (times === 1) sweeper = HeldDirectory.tryHold(path);
    });
    expect(sweeper).toBeDefined();
    expect(times).toBe(2);
    expect(existsSync(path)).toBe(true);
    expect(HeldDirectory.tryHold(path)).toBeUndefined();
  });

  it("is there, and its maker's, however many sweep while it is made", { timeout: 60_000 }, async () => {
    using directory = temporary();
    const program = `
      import { readdirSync, rmdirSync } from "node:fs";
      const { HeldDirectory } = await import("${MODULE}");
      process.stdout.write("ready");
      for (;;) for (const name of readdirSync(${JSON.stringify(directory.path)})) {
        if (name === "end") process.exit();
        const path = ${JSON.stringify(`${directory.path}/`)} + name;
        using held = HeldDirectory.tryHold(path);
        if (held !== undefined) rmdirSync(path);
      }`;
    const sweepers = ["one", "other"].map(() =>
      spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    const ends = sweepers.map((sweeper) => once(sweeper, "exit"));
    await Promise.all(sweepers.map(({ stdout }) => once(stdout, "data")));
    for (let turn = 0; turn < 200; turn++) {
      const path = join(directory.path, `own-${turn}`);
      using _held = HeldDirectory.make(path);
      // Nobody has it any more, or has it in the middle of removing it: else there would be no file, or not this one.
      writeFileSync(join(path, "content"), String(turn));
      expect(readFileSync(join(path, "content"), "utf8")).toBe(String(turn));
      rmSync(join(path, "content"));
    }
    mkdirSync(join(directory.path, "end"));
    expect(await Promise.all(ends)).toEqual(sweepers.map(() => [0, null]));
  });
});
