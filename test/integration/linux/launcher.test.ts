/** Children that share the memory of their parent, in which it must find again what it left. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempDisposableSync, readSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, assert, beforeAll, describe, expect, it } from "vitest";
import { encodeSteps } from "../../../worker/container/encode.ts";
import { flags, NULL, resultOf, room, string } from "../../../worker/container/plan/arguments.ts";
import { armDeathSignal } from "../../../worker/container/plan/namespaces.ts";
import { forbidCoreDumps, forkPayload, limitResources } from "../../../worker/container/plan/payload.ts";
import { type Actor, type Argument, type Step, writeSteps } from "../../../worker/container/plan/step.ts";
import { readStatus } from "../../../worker/container/slot/ending.ts";
import { Inspection } from "../../../worker/container/slot/launcher.ts";
import { PR, SIGNAL } from "../../../worker/linux/constants.ts";
import { openMemoryFile } from "../../../worker/linux/memory-file.ts";

const DIRECTORY = join(import.meta.dirname, "../../../worker/linux/launcher");
const ENOENT = 2;

const resources = new DisposableStack();
afterAll(() => resources.dispose());

/** Built so that every variable is in memory, on the stack: one that a child wrote to would be another for its parent. */
function buildUnoptimized(): string {
  const made = mkdtempDisposableSync(join(tmpdir(), "longshore-launcher-"));
  const { path } = resources.adopt(made, () => made.remove());
  const binary = join(path, "launcher");
  const options = ["-std=gnu17", "-O0", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-mno-sse"];
  execFileSync("gcc", [...options, "-nostdlib", "-static", "-no-pie", "-o", binary, join(DIRECTORY, "launcher.c")]);
  return binary;
}

/** The launcher makes init, and init the payload, each in the memory of its parent; then each awaits its own. */
function planOf(addPayload: (steps: Step[]) => void) {
  const steps: Step[] = [];
  const statuses = { init: room(8, "status of init"), payload: room(8, "status of the payload") };
  const awaitChild = (actor: Actor, child: Step, status: Argument, exitCode: number): void => {
    const step = writeSteps(steps, actor, "accounting");
    step.controlled({ kind: "until", step: child }, "wait4", resultOf(child), status, 0, NULL);
    step("exit_group", exitCode);
  };
  const launcher = writeSteps(steps, "launcher", "lifetime");
  const init = launcher.controlled({ kind: "fork" }, "clone", ...forkPayload([]).arguments);
  armDeathSignal(steps);
  forbidCoreDumps(steps);
  const payload = forkPayload(steps);
  addPayload(steps);
  awaitChild("init", payload, statuses.payload, 7);
  awaitChild("launcher", init, statuses.init, 8);
  return { steps, statuses };
}

/** A plan in memory, for a launcher's descriptor 3. */
class PlanFile implements Disposable {
  readonly descriptor = openMemoryFile("plan");
  readonly #encoded: ReturnType<typeof encodeSteps>;

  constructor(steps: readonly Step[]) {
    this.#encoded = encodeSteps(steps);
    writeSync(this.descriptor, this.#encoded.bytes, 0, this.#encoded.end, 0);
  }

  inspect(): Inspection {
    const memory = Buffer.alloc(this.#encoded.end);
    readSync(this.descriptor, memory, 0, memory.byteLength, 0);
    return new Inspection(memory, [this.#encoded]);
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}

/** What comes of a plan: how each of its processes ended, and the step that failed. */
function execute(launcher: string, { steps, statuses }: ReturnType<typeof planOf>) {
  using plan = new PlanFile(steps);
  const { status } = spawnSync(launcher, { stdio: ["ignore", "ignore", "ignore", plan.descriptor] });
  const inspection = plan.inspect();
  const endingOf = (room: Argument) => readStatus(inspection.room(room).getInt32(0, true));
  return {
    launcher: status,
    init: endingOf(statuses.init),
    payload: endingOf(statuses.payload),
    failure: inspection.failure,
  };
}

/** Of a launcher and an init that have seen their children end, and gone on. */
const GONE_ON = { launcher: 8, init: { kind: "exited", exitCode: 7 } } as const;

describe.each([
  { variant: "as it is shipped", find: () => join(DIRECTORY, "launcher-x64") },
  { variant: "built without optimization", find: buildUnoptimized },
])("the launcher, $variant,", ({ find }) => {
  let launcher: string;
  beforeAll(() => {
    launcher = find();
  });

  it("goes on after a child that has executed a program", () => {
    const plan = planOf((steps) => {
      const vector: Argument = { kind: "strings", list: ["sh", "-c", "exit 5"] };
      writeSteps(steps, "payload", "exec")("execve", string("/bin/sh"), vector, NULL);
    });
    expect(execute(launcher, plan)).toEqual({
      ...GONE_ON,
      payload: { kind: "exited", exitCode: 5 },
      failure: undefined,
    });
  });

  it("goes on after one that has looked for its program in vain, in many places", () => {
    const plan = planOf((steps) => {
      const step = writeSteps(steps, "payload", "exec");
      for (let place = 0; place < 1000; place++) step.mayFail("execve", string(`/nowhere/${place}/sh`), NULL, NULL);
      step("execve", string("/nowhere/sh"), NULL, NULL);
    });
    const step = plan.steps.findLast(({ actor }) => actor === "payload");
    expect(execute(launcher, plan)).toEqual({
      ...GONE_ON,
      payload: { kind: "exited", exitCode: 125 },
      failure: { step, errno: ENOENT },
    });
  });

  it("goes on after one that was killed before it executed anything", () => {
    const plan = planOf((steps) => {
      limitResources(steps, { openFiles: 64, stackBytes: 1 << 20, fileBytes: 0 });
      const step = writeSteps(steps, "payload", "files");
      const file = step("memfd_create", string("file"), 0);
      step("write", resultOf(file), string("x"), 1);
    });
    expect(execute(launcher, plan)).toEqual({
      ...GONE_ON,
      payload: { kind: "signaled", signal: SIGNAL.SIGXFSZ },
      failure: undefined,
    });
  });

  it("can be killed, and its children with it, before they have executed anything", async () => {
    const { steps } = planOf((steps) => {
      const step = writeSteps(steps, "payload", "lifetime");
      step("prctl", flags(PR, "PR_SET_PDEATHSIG"), flags(SIGNAL, "SIGKILL"));
      step("write", 1, string("x"), 1);
      step("ppoll", NULL, 0, NULL, NULL, 0);
    });
    using plan = new PlanFile(steps);
    const running = spawn(launcher, { stdio: ["ignore", "pipe", "ignore", plan.descriptor] });
    assert(running.stdout);
    await once(running.stdout, "data");
    running.kill("SIGKILL");
    // Its end, and that of everybody who could still write.
    expect(await once(running, "close")).toEqual([null, "SIGKILL"]);
  });
});
