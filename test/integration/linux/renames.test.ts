/** The kernel gives a guarded walk through `..` up (EAGAIN) whenever a file was renamed meanwhile, anywhere. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempDisposableSync, openSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SlotSteps } from "../../../worker/container/interpret.ts";
import { resultOf, string } from "../../../worker/container/plan/arguments.ts";
import { within } from "../../../worker/container/plan/mounting.ts";
import { type Step, writeSteps } from "../../../worker/container/plan/step.ts";
import { Launch } from "../../../worker/container/slot/launcher.ts";
import { O, RESOLVE } from "../../../worker/linux/constants.ts";
import { cString, systemCall } from "../../../worker/linux/libc.ts";
import { openBelow } from "../../../worker/linux/open.ts";
import { reap } from "../../../worker/linux/process.ts";

const RENAME_ALL_THE_TIME = `
const { renameSync, writeFileSync } = require("node:fs");
const [a, b] = ["a", "b"].map((name) => process.argv[1] + "/" + name);
writeFileSync(a, "");
for (;;) { renameSync(a, b); renameSync(b, a); }`;

const resources = new DisposableStack();
afterAll(() => resources.dispose());

describe("while files are renamed all the time", () => {
  let directory: number;
  beforeAll(() => {
    const made = mkdtempDisposableSync(join(tmpdir(), "longshore-renames-"));
    const { path } = resources.adopt(made, () => made.remove());
    mkdirSync(join(path, "image/opt/work"), { recursive: true });
    writeFileSync(join(path, "image/opt/work/file"), "");
    symlinkSync(`${"opt/../".repeat(8)}opt/work`, join(path, "image/winding"));
    directory = resources.adopt(openSync(join(path, "image"), "r"), closeSync);
    const renamer = spawn(process.execPath, ["-e", RENAME_ALL_THE_TIME, path], { stdio: "inherit" });
    resources.defer(() => void renamer.kill("SIGKILL"));
  });

  it("the kernel does not open every path with ..", () => {
    const how = Buffer.alloc(24);
    how.writeBigUInt64LE(BigInt(O.O_CLOEXEC), 0);
    how.writeBigUInt64LE(BigInt(RESOLVE.RESOLVE_IN_ROOT), 16);
    const path = cString("winding/file");
    let result: number;
    do {
      result = systemCall("openat2", directory, path, how, how.byteLength);
      if (result >= 0) closeSync(result);
    } while (result >= 0);
    expect(result).toBe(-11); // EAGAIN
  });

  it("the worker does", () => {
    for (let count = 0; count < 20_000; count++) {
      const file = openBelow(directory, "winding/file", O.O_RDONLY, "in root");
      expect(file).toBeGreaterThan(0);
      closeSync(file);
    }
  });

  /** Steps that open the file again and again. */
  function walks(actor: Step["actor"]): Step[] {
    const held = { kind: "held", descriptor: directory, text: "an image" } as const;
    const steps: Step[] = [];
    const step = writeSteps(steps, actor, "files");
    for (let count = 0; count < 10_000; count++) {
      const file = step("openat2", held, string("winding/file"), ...within(["O_RDONLY", "O_CLOEXEC"]));
      step("close", resultOf(file));
    }
    return steps;
  }

  it("a slot does in its part of a plan", () => {
    using slotSteps = new SlotSteps();
    expect(slotSteps.execute(walks("slot"))).toBeUndefined();
  });

  it("the launcher does", () => {
    const steps = walks("launcher");
    writeSteps(steps, "launcher", "lifetime")("exit_group", 0);
    using slotSteps = new SlotSteps();
    using launch = new Launch(steps, { stdin: 0, stdout: 1, stderr: 2 }, slotSteps);
    reap(launch.pid);
    expect(launch.inspect().failure).toBeUndefined();
  });
});
