/** What stands twice, in the launcher's source and in the code that writes its plans. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeSteps } from "../../../worker/container/encode.ts";
import { string } from "../../../worker/container/plan/arguments.ts";
import { type Control, type Step, writeSteps } from "../../../worker/container/plan/step.ts";
import { untilResolved } from "../../../worker/linux/open.ts";
import { systemCalls } from "../../../worker/linux/system-calls.ts";

const source = readFileSync(join(import.meta.dirname, "../../../worker/linux/launcher/launcher.c"), "utf8");

/** Enumerators and macros of the source that are numbers. */
const numbers = new Map(
  [...source.matchAll(/\b([A-Za-z_]\w*) = (\d+)[,\s}]|#define (\w+) (0x[0-9a-f]+)/g)].map(
    ([, enumerator, value, macro, hexadecimal]) => [enumerator ?? macro, Number(value ?? hexadecimal)] as const,
  ),
);

/** One of them; a name that is not there any more is no reason to pass. */
function numberOf(name: string): number {
  const value = numbers.get(name);
  if (value === undefined) throw new Error(`launcher.c has no ${name}`);
  return value;
}

/** Offset of a step's flags behind the plan's first word, which tells of a failure. */
const FLAGS_OFFSET = 8 + 5;

/** The flags of a step with a control. */
function flagsOf(control: (step: Step) => Control): number {
  const steps: Step[] = [];
  const launcher = writeSteps(steps, "launcher", "host name");
  const step = launcher("close", 0);
  writeSteps(steps, "init", "host name")("close", 0);
  launcher("close", 0);
  Object.assign(step, { control: control(step) });
  return encodeSteps(steps).bytes.readUInt8(FLAGS_OFFSET);
}

describe("the launcher and its slot agree", () => {
  it("on how often a walk is tried that the kernel gives up, and on what that answer is", () => {
    let walks = 0;
    const refusal = -numberOf("EAGAIN");
    expect(untilResolved(() => (walks++, refusal))).toBe(refusal);
    expect(walks).toBe(numberOf("WALKS_MAX"));
    // The launcher counts those that were repeated.
    expect(source).toMatch(/do\s+result = call\([^;]+;\s+while \(result == -EAGAIN && .+ && \+\+walks < WALKS_MAX\);/);
  });

  it("on the numbers of system calls", () => {
    const own = [...numbers].filter(([name]) => name?.startsWith("SYS_"));
    expect(own.length).toBeGreaterThan(3);
    expect(own.map(([name]) => name)).toContain("SYS_openat2");
    for (const [name, number] of own) {
      const call = name?.slice("SYS_".length) as keyof typeof systemCalls;
      expect([call, systemCalls[call]]).toEqual([call, number]);
    }
  });

  it("on what is asked of a step", () => {
    expect({
      MAY_FAIL: flagsOf(() => ({ kind: "may fail" })),
      FORK: flagsOf(() => ({ kind: "fork" })),
      UNTIL: flagsOf((step) => ({ kind: "until", step })),
      MUST_BE_0: flagsOf(() => ({ kind: "must return", value: 0 })),
      GO_ON: flagsOf(() => ({ kind: "go on" })),
    }).toEqual(
      Object.fromEntries(["MAY_FAIL", "FORK", "UNTIL", "MUST_BE_0", "GO_ON"].map((name) => [name, numberOf(name)])),
    );
  });

  it("on where a plan is in memory", () => {
    const steps: Step[] = [];
    writeSteps(steps, "init", "host name")("sethostname", string("name"), 4);
    const { bytes } = encodeSteps(steps);
    const place = Number(bytes.readBigUInt64LE(16)) - numberOf("PLAN_ADDRESS");
    expect(bytes.subarray(place, place + 4).toString()).toBe("name");
  });
});
