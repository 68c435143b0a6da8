import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import LongestFirst from "./test/support/longest-first.ts";
import { PATIENCE_MS } from "./test/support/patience.ts";

/** What must not depend on whether a container was prepared before its job came: see test/support/container.ts. */
const SAME_WHEN_WARM = ["files", "isolation", "layers", "lifetime", "limits", "memory", "output-watch", "untouched"];

/** Attacks on what containers could share, or have seen before their job came. */
const ATTACKED_WHEN_WARM = ["keyrings", "neighbours", "network", "proc", "runtime"];

/** Files at once that start servers and containers: most of their time they wait for those. */
const FILES_AT_ONCE = 2 * availableParallelism();

// A run starts hundreds of programs. That they keep what they have compiled halves the time to start one.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules/.cache/node-compile-cache");

/**
 * Groups of tests, run one after the other (`groupOrder`).
 *
 * Unit tests need neither root nor Redis. All others start real servers and containers, on ports, in directories and
 * cgroups of their own, so that files run beside each other, and beside another run on the same machine.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], sequence: { groupOrder: 0 } } },
      real("integration", ["test/integration/**/*.test.ts"]),
      real(
        "warm",
        SAME_WHEN_WARM.map((name) => `test/integration/container/${name}.test.ts`),
        { TEST_CONTAINERS: "warm" },
      ),
      real("e2e", ["test/e2e/**/*.test.ts"]),
      real("security", ["test/security/**/*.test.ts"]),
      real(
        "security-warm",
        ATTACKED_WHEN_WARM.map((name) => `test/security/${name}.test.ts`),
        { TEST_CONTAINERS: "warm" },
      ),
      real("faults", ["test/faults/**/*.test.ts"]),
    ],
  },
});

function real(name: string, include: string[], env: Record<string, string> = {}) {
  return {
    test: {
      name,
      include,
      env,
      sequence: { groupOrder: 1 },
      maxWorkers: FILES_AT_ONCE,
      testTimeout: PATIENCE_MS,
      hookTimeout: PATIENCE_MS,
      expect: { poll: { timeout: PATIENCE_MS / 6 } },
    },
  };
}
