import { expect, test } from "vitest";
import { isAtOthersCost, memoryReserveBytes } from "../../../worker/container/slot/machine-memory.ts";

const MiB = 1024 ** 2;
const reserve = 1000 * MiB;

test("nobody has to go, and nobody's time is asked for, while the reserve is there", () => {
  const ask = () => {
    throw new Error("asked");
  };
  expect(isAtOthersCost(reserve, ask, reserve)).toBe(false);
  expect(isAtOthersCost(memoryReserveBytes(), ask)).toBe(false);
});

test.each([
  ["has been in the kernel for seconds goes when the reserve is touched", 5000, 999, true],
  ["has been there for a tenth of a second has nine tenths of it", 100, 150, false],
  ["has taken those, too, goes", 100, 99, true],
  ["has hardly been there stays to the end", 1, 5, false],
])("a container that %s", (_, systemTimeMs, availableMiB, goes) => {
  expect(isAtOthersCost(reserve, () => systemTimeMs, availableMiB * MiB)).toBe(goes);
});
