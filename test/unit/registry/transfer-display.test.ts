import { describe, expect, it } from "vitest";
import { digestOf } from "../../../worker/images/digest.ts";
import { drawRow, TransferLines } from "../../../worker/commands/images/transfer-display.ts";

const digest = digestOf("layer");
const name = digest.slice(0, 19);

describe("lines of a transfer", () => {
  it("tell what is planned, what became of each blob, and what went wrong", () => {
    const lines: string[] = [];
    using display = new TransferLines((line) => lines.push(line));
    display.report({ kind: "mirror_failed", mirror: "m", reason: "gone" });
    display.report({ kind: "planned", reference: "r/a:1", digest, blobs: [{ digest, size: 2_500_000 }] });
    display.report({ kind: "blob", digest, state: { kind: "moving", bytes: 10 } });
    display.report({ kind: "retry", reason: "broken", pauseMs: 1500 });
    display.report({ kind: "blob", digest, state: { kind: "done" } });
    display.report({ kind: "blob", digest, state: { kind: "present" } });
    display.report({ kind: "blob", digest, state: { kind: "mounted", from: "b" } });
    expect(lines).toEqual([
      "mirror m has failed, trying the next: gone",
      `r/a:1: ${digest}, 1 blobs, 2.5 MB`,
      "again in 1.5 s: broken",
      `${name}: done, 2.5 MB`,
      `${name}: there already, 2.5 MB`,
      `${name}: taken over from b, 2.5 MB`,
    ]);
  });
});

describe("the bar of a blob", () => {
  const [full, half, empty] = ["█".repeat(30), "█".repeat(15) + "░".repeat(15), "░".repeat(30)];

  it.each([
    [1e6, { kind: "waiting" }, `${name} ${empty} waiting, 1.0 MB`],
    [1e6, { kind: "moving", bytes: 5e5 }, `${name} ${half} 0.5 MB of 1.0 MB`],
    [1e6, { kind: "done" }, `${name} ${full} done, 1.0 MB`],
    [0, { kind: "moving", bytes: 0 }, `${name} ${full} 0.0 MB of 0.0 MB`],
  ] as const)("of %i bytes in the state %o is %s", (size, state, line) => {
    expect(drawRow({ digest, size, state })).toBe(line);
  });
});
