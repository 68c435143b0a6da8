import { describe, expect, it } from "vitest";
import { violationsOf } from "../../../infra/check/dependencies.ts";

function reasons(file: string, source: string): string[] {
  return violationsOf(file, source).map((violation) => violation.reason);
}

describe("the dependency check", () => {
  it("lets data flow downwards", () => {
    expect(
      reasons("worker/jobs/run.ts", `import { a } from "../container/spec.ts"; import "../../shared/log.ts";`),
    ).toEqual([]);
    expect(reasons("worker/main.ts", `import { a } from "./jobs/run.ts";`)).toEqual([]);
    expect(reasons("worker/container/slot/collect.ts", `import "../../../shared/paths/glob.ts";`)).toEqual([]);
    expect(
      reasons("services/api/main.ts", `import { a } from "../../shared/config.ts"; import pino from "pino";`),
    ).toEqual([]);
  });

  it.each([
    [
      "services/api/main.ts",
      `import { a } from "../../worker/jobs/run.ts";`,
      "services/api may not import worker/jobs",
    ],
    ["worker/main.ts", `import { a } from "../services/api/app.ts";`, "worker may not import services/api"],
    [
      "worker/linux/errno.ts",
      `import type { A } from "../container/spec.ts";`,
      "worker/linux may not import worker/container",
    ],
    ["worker/container/run.ts", `import { log } from "../../shared/log.ts";`, "worker/container may not import shared"],
    ["shared/config.ts", `export { a } from "../worker/main.ts";`, "shared may not import worker"],
    ["services/cli/longshore.ts", `await import("../api/app.ts");`, "services/cli may not import services/api"],
    ["worker/images/store.ts", `import koffi from "koffi";`, "only worker/linux may import koffi"],
  ])("refuses, in %s, %s", (file, source, reason) => {
    expect(reasons(file, source)).toEqual([reason]);
  });

  it("refuses a folder nobody decided about", () => {
    expect(reasons("services/new/main.ts", "")).toEqual(["its folder has no line in the table of imports"]);
  });
});
