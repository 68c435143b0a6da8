import { describe, expect, it } from "vitest";
import { planCommand } from "../../../worker/container/plan/plan.ts";
import { Commands } from "../../../worker/container/slot/commands.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";
import { sampleSpec } from "./sample.ts";

describe("the commands of a slot", () => {
  it("are planned once for jobs that differ in files and streams", () => {
    const commands = new Commands();
    const planned = commands.get(sampleSpec);
    const files = [{ path: "main.py", content: new Uint8Array(3), executable: false }];
    const other: ContainerSpec = { ...sampleSpec, files, stdin: new Uint8Array(9), outputs: ["*"] };
    expect(commands.get(other)).toBe(planned);
  });

  it.each<Partial<ContainerSpec>>([
    { command: ["other"] },
    { environment: { OTHER: "1" } },
    { workingDirectory: "/other" },
    { user: { uid: 1, gid: 1 } },
    { user: { ...sampleSpec.user, groups: [7] } },
    { limits: { ...sampleSpec.limits, openFiles: 7 } },
    { limits: { ...sampleSpec.limits, stackBytes: 7 } },
    { limits: { ...sampleSpec.limits, fileBytes: 7 } },
    { build: { scratchDirectory: "/scratch" } },
  ])("are planned anew for %j", (changes) => {
    const commands = new Commands();
    const changed = { ...sampleSpec, ...changes };
    expect(commands.get(changed)).not.toBe(commands.get(sampleSpec));
    expect(commands.get(changed)).toEqual(planCommand(changed));
  });

  it("are forgotten when others have come, and at once when they are long", () => {
    const commands = new Commands();
    const named = (name: string) => commands.get({ ...sampleSpec, command: [name] });
    const [first, second] = [named("0"), named("1")];
    for (let number = 2; number < 9; number++) {
      expect(named("0")).toBe(first);
      named(String(number));
    }
    expect(named("0")).toBe(first);
    expect(named("1")).not.toBe(second);
    expect(named("x".repeat(20_000))).not.toBe(named("x".repeat(20_000)));
  });
});
