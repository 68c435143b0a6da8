import { describe, expect, it } from "vitest";
import {
  encodeAgain,
  encodeRest,
  encodeSteps,
  type EncodedSteps,
  readFailure,
  readResult,
} from "../../../worker/container/encode.ts";
import { resultOf, string, words } from "../../../worker/container/plan/arguments.ts";
import { type Step, writeSteps } from "../../../worker/container/plan/step.ts";
import { systemCalls } from "../../../worker/linux/system-calls.ts";
import { samplePlan } from "./sample.ts";

const HEADER = 8;
const STEP = 72;
const ADDRESS = 0x10000000n;

/** The launcher's steps, in its order. */
function stepsIn({ numbers }: EncodedSteps): Step[] {
  return [...numbers.keys()];
}

describe("the encoding of a plan", () => {
  it("leaves out what the slot does itself", () => {
    const plan = samplePlan();
    const encoded = encodeSteps(plan.steps);
    expect(stepsIn(encoded)).toEqual(plan.steps.filter((step) => step.actor !== "slot"));
    for (const [step, number] of encoded.numbers) {
      expect(encoded.bytes.readUInt32LE(HEADER + number * STEP)).toBe(systemCalls[step.call]);
    }
  });

  it("passes results of the launcher's steps by reference and descriptors of the slot's by number", () => {
    const steps: Step[] = [];
    const slot = writeSteps(steps, "slot", "union mount");
    const init = writeSteps(steps, "init", "pivot_root");
    const opened = slot("fsopen", string("tmpfs"), 0);
    const own = init("openat", 0, string("x"), 0);
    init("fchdir", resultOf(own));
    init("fchdir", resultOf(opened));
    const { bytes, inherited } = encodeSteps(steps);
    const references = (index: number): number => bytes.readUInt8(HEADER + index * STEP + 4);
    const argument = (index: number): bigint => bytes.readBigInt64LE(HEADER + index * STEP + 8);
    expect([references(1), argument(1)]).toEqual([1, 0n]);
    expect([references(2), argument(2)]).toEqual([0, 4n]);
    expect(inherited).toEqual([{ kind: "result", step: opened }]);
  });

  it("inherits a descriptor once however often it is used", () => {
    const plan = samplePlan();
    const begun = encodeSteps(plan.sandbox.steps);
    const { inherited } = encodeRest([begun], plan.steps.slice(plan.sandbox.steps.length));
    expect(begun.inherited).toEqual([expect.objectContaining({ text: "socket of the slot" })]);
    expect(inherited).toEqual([
      expect.objectContaining({ text: "network namespace of the container" }),
      { kind: "result", step: plan.mounts.shown },
      { kind: "result", step: plan.mounts.root },
      { kind: "result", step: plan.mounts.scratch },
      { kind: "result", step: plan.temporary[0]?.mount },
      expect.objectContaining({ text: "user namespace" }),
      expect.objectContaining({ text: "worker" }),
    ]);
  });

  it("sends the parent of a fork to its own next step", () => {
    const encoded = encodeSteps(samplePlan().steps);
    const [steps, { bytes }] = [stepsIn(encoded), encoded];
    const next = (index: number): number => bytes.readUInt16LE(HEADER + index * STEP + 6);
    const launcherFork = steps.findIndex((step) => step.call === "clone3");
    expect(steps[next(launcherFork)]).toMatchObject({ actor: "launcher", call: "exit_group" });
    const initFork = steps.findIndex((step) => step.call === "clone");
    const continued = steps[next(initFork)];
    expect([continued?.actor, continued?.call]).toEqual(["init", "capset"]);
    expect(steps[next(initFork) - 1]?.actor).toBe("payload");
  });

  it("places the bytes that pointers point to behind the steps, aligned to a word", () => {
    const steps: Step[] = [];
    const write = writeSteps(steps, "init", "host name");
    write("sethostname", string("abc"), 3);
    write("openat", 0, words("{1, 2}", 1, 2), 0);
    const { bytes } = encodeSteps(steps);
    const first = Number(bytes.readBigInt64LE(HEADER + 8) - ADDRESS);
    const second = Number(bytes.readBigInt64LE(HEADER + STEP + 16) - ADDRESS);
    expect(bytes.toString("utf8", first, first + 4)).toBe("abc\0");
    expect(second % 8).toBe(0);
    expect([bytes.readBigInt64LE(second), bytes.readBigInt64LE(second + 8)]).toEqual([1n, 2n]);
  });

  it("grows with an environment larger than its first guess", () => {
    const environment = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`NAME_${index}`, "x".repeat(100)]),
    );
    const { bytes } = encodeSteps(samplePlan({ environment }).steps);
    expect(bytes.includes("NAME_999=xxx")).toBe(true);
  });

  it("lets each step that waits go on with the next part, which is behind everything else", () => {
    const plan = samplePlan();
    const parts: EncodedSteps[] = [encodeSteps(plan.sandbox.steps)];
    const rest = plan.steps.slice(plan.sandbox.steps.length);
    const released = rest.findIndex((step) => step.control.kind === "go on") + 1;
    for (const steps of [rest.slice(0, released), rest.slice(released)]) parts.push(encodeRest(parts, steps));
    for (const [index, before] of parts.slice(0, -1).entries()) {
      const waiting = stepsIn(before).find((step) => step.control.kind === "go on");
      const offset = HEADER + (before.numbers.get(waiting ?? plan.sandbox.init) ?? 0) * STEP - before.offset;
      const next = before.bytes.readUInt16LE(offset + 6);
      const after = parts[index + 1];
      expect(after?.offset).toBe(HEADER + next * STEP);
      expect(after?.offset).toBeGreaterThanOrEqual(before.end);
    }
    const [, preparation, release] = parts;
    expect(preparation?.bytes.readUInt32LE(0)).toBe(systemCalls.setns);
    expect(release?.bytes.readUInt32LE(0)).toBe(systemCalls.close);
  });

  it("encodes what comes again once for each place, and without anything of the parts before", () => {
    const [begun, longer] = [encodeSteps([]), encodeSteps(samplePlan().sandbox.steps)];
    const steps: Step[] = [];
    const earlier = writeSteps(steps, "init", "exec")("close", 3);
    const encoded = encodeAgain([begun], steps);
    expect(encodeAgain([begun], steps)).toBe(encoded);
    expect(encodeAgain([longer], steps)).toEqual(encodeRest([longer], steps));
    const later: Step[] = [];
    writeSteps(later, "init", "exec")("close", resultOf(earlier));
    expect(() => encodeAgain([encodeSteps(steps)], later)).toThrow("is not a step of the launcher");
    const inheriting: Step[] = [];
    writeSteps(inheriting, "init", "exec")("close", { kind: "held", descriptor: 9, text: "late" });
    expect(() => encodeAgain([begun], inheriting)).toThrow("name descriptors");
  });

  it("numbers what whoever waits receives from the first descriptor on that is free then", () => {
    const begun = encodeSteps([]);
    const steps: Step[] = [];
    writeSteps(steps, "init", "exec")("close", { kind: "held", descriptor: 9, text: "late" });
    const { bytes, inherited } = encodeRest([begun], steps);
    expect(bytes.readBigInt64LE(8)).toBe(4n);
    expect(inherited).toEqual([expect.objectContaining({ descriptor: 9 })]);
  });

  it("refuses a struct that names a descriptor nobody has opened yet", () => {
    const steps: Step[] = [];
    const write = writeSteps(steps, "init", "namespaces");
    const later = write("openat", 0, string("x"), 0);
    write("clone3", words("{cgroup}", resultOf(later)), 8);
    expect(() => encodeSteps(steps)).toThrow("openat of the init is not known before it is made");
  });

  it("reads failures and results where the launcher writes them", () => {
    const { bytes } = encodeSteps(samplePlan().steps);
    expect(readFailure(bytes)).toBeUndefined();
    bytes.writeUInt32LE(6, 0);
    bytes.writeUInt32LE(13, 4);
    bytes.writeBigInt64LE(4711n, HEADER + 2 * STEP + 56);
    expect(readFailure(bytes)).toEqual({ number: 5, errno: 13 });
    expect(readResult(bytes, 2)).toBe(4711);
  });
});
