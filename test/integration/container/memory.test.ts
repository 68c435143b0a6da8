import { execFileSync } from "node:child_process";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MiB, TestSlot } from "../../support/container.ts";

it("a program's peak of memory does not depend on whether the files that it reads are cached already", async () => {
  using layer = mkdtempDisposableSync(join(tmpdir(), "longshore-layer-"));
  const file = join(layer.path, "big");
  writeFileSync(file, Buffer.alloc(32 * MiB, 1));
  // Writes the file to the disk, and has the kernel forget it (posix_fadvise(2)).
  execFileSync("dd", [
    `of=${file}`,
    "if=/dev/null",
    "oflag=nocache",
    "conv=notrunc,fdatasync",
    "count=0",
    "status=none",
  ]);
  await using slot = await TestSlot.open("bash");
  const layers = [...slot.layers, { kind: "directory", path: layer.path } as const];
  const run = async () => (await slot.bash("cat /big >/dev/null", { layers })).usage.memoryPeakBytes;
  const [cold, warm] = [await run(), await run()];
  expect(Math.abs(cold - warm)).toBeLessThan(4 * MiB);
  expect(warm).toBeGreaterThan(0);
});
