/** Outputs may be as large as a disk; comparing them takes what two pieces take. In a process of its own, to be measured. */
import { execFile } from "node:child_process";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import type { ComparisonRule } from "../../../shared/judge-request.ts";

const MiB = 1024 * 1024;

/** Of each file. */
const FILE_BYTES = 32 * MiB;

const MODULE = new URL("../../../worker/jobs/judge/compare/compare-files.ts", import.meta.url);

const directory = mkdtempDisposableSync(join(tmpdir(), "longshore-compare-"));
afterAll(() => directory.remove());

/** Prints the verdict, and by how many bytes the process grew at most. */
const PROGRAM = `
import { compareFiles } from ${JSON.stringify(MODULE)};
const peak = () => process.resourceUsage().maxRSS * 1024;
const [comparison, ...warmups] = JSON.parse(process.argv[1]);
for (const warmup of warmups) compareFiles(warmup);
const before = peak();
const { verdict } = compareFiles(comparison);
console.log(JSON.stringify({ verdict, grownBytes: peak() - before }));`;

it.each(["exact", "lines", "tokens", "float"] as const)(
  "%s compares large files in a fraction of their size",
  { timeout: 60_000 },
  async (type) => {
    const rule: ComparisonRule = type === "float" ? { type, tolerance: 1e-6 } : { type };
    const [large, small] = ["large", "small"].map((name) => join(directory.path, name)) as [string, string];
    writeFileSync(large, Buffer.alloc(FILE_BYTES, "1234567 0.5\n"));
    writeFileSync(small, Buffer.alloc(MiB, "1234567 0.5\n"));
    const comparisons = [large, small].map((path) => ({ output: path, expected: path, rule }));
    const flags = ["--max-semi-space-size=4", "--input-type=module", "--eval", PROGRAM, JSON.stringify(comparisons)];
    const { stdout } = await promisify(execFile)(process.execPath, flags);
    const { verdict, grownBytes } = JSON.parse(stdout) as { verdict: string; grownBytes: number };
    expect(verdict).toBe("accepted");
    expect(grownBytes).toBeLessThan(FILE_BYTES / 2);
  },
);
