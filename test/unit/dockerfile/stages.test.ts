import { describe, expect, it } from "vitest";
import { parseDockerfile } from "../../../worker/images/dockerfile/parse.ts";
import { planBuild, type PlanOptions } from "../../../worker/images/dockerfile/stages.ts";
import { hostArchitecture } from "../../../worker/images/oci.ts";

const plan = (text: string, options?: PlanOptions) => planBuild(parseDockerfile(text, "Dockerfile"), options);

const STAGES = `
ARG RELEASE=bookworm
FROM debian:\${RELEASE} AS base
FROM base AS tools
FROM scratch AS unused
FROM Base
COPY --from=tools /a /a
COPY --from=0 /b /b
COPY --from=busybox /c /c
`;

describe("the plan of a build", () => {
  it("holds the stages that the target needs, in order, and what they start from", () => {
    const { stages } = plan(STAGES);
    expect(stages.map(({ index }) => index)).toEqual([0, 1, 3]);
    expect(stages.map(({ origin }) => origin)).toEqual([
      { kind: "image", reference: "debian:bookworm" },
      { kind: "stage", index: 0 },
      { kind: "stage", index: 0 },
    ]);
    expect(Object.fromEntries(stages[2]?.copiesFrom ?? [])).toEqual({
      tools: { kind: "stage", index: 1 },
      0: { kind: "stage", index: 0 },
      busybox: { kind: "image", reference: "busybox" },
    });
  });

  it("ends at the stage that was asked for, by name or by number", () => {
    expect(plan(STAGES, { target: "TOOLS" }).stages.map(({ index }) => index)).toEqual([0, 1]);
    expect(plan(STAGES, { target: "2" }).stages.map(({ origin }) => origin)).toEqual([{ kind: "scratch" }]);
    expect(() => plan(STAGES, { target: "nothing" })).toThrow(
      "there is no stage nothing: there are base, tools, unused, 3",
    );
  });

  it("lets arguments choose the base, and tells which ones nothing takes", () => {
    const given = new Map([["RELEASE", "trixie"], ["TYPO", "1"], ["http_proxy", "http://proxy"]]); // prettier-ignore
    const { stages, unusedArguments } = plan(STAGES, { arguments: given });
    expect(stages[0]?.origin).toEqual({ kind: "image", reference: "debian:trixie" });
    expect(unusedArguments).toEqual(["TYPO"]);
  });

  it("refuses what cannot be built here, with its line", () => {
    expect(() => plan("FROM --platform=linux/riscv64 x")).toThrow(
      /^Dockerfile:1: --platform=linux\/riscv64 is not this/,
    );
    expect(plan(`FROM --platform=linux/${hostArchitecture()} x`).stages).toHaveLength(1);
    expect(plan("FROM --platform=$BUILDPLATFORM x").stages).toHaveLength(1);
    expect(() => plan("ARG A\nFROM $A")).toThrow(/^Dockerfile:2: \$A is empty/);
    expect(() => plan("FROM x AS a\nCOPY --from=a /a /b")).toThrow(/^Dockerfile:2: --from=a is the stage itself/);
    expect(() => plan("FROM x\nCOPY --from=1 /a /b")).toThrow(/^Dockerfile:2: --from=1: there are 0 stages before/);
  });
});
