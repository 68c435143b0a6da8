import { defineConfig } from "vitest/config";

/** What must not depend on whether a container was prepared before its job came: see test/support/container.ts. */
const SAME_WHEN_WARM = ["files", "isolation", "layers", "lifetime", "limits", "memory", "output-watch", "untouched"];

/** Attacks on what containers could share, or have seen before their job came. */
const ATTACKED_WHEN_WARM = ["keyrings", "neighbours", "network", "proc"];

/**
 * Groups of tests, run one after the other (`groupOrder`).
 *
 * Unit tests need neither root nor Redis and run in parallel. The others start real servers and containers, some with
 * a whole CPU's load, so their files take turns: what one measures another must not disturb.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], sequence: { groupOrder: 0 } } },
      serial("integration", 1, ["test/integration/**/*.test.ts"]),
      serial(
        "warm",
        2,
        SAME_WHEN_WARM.map((name) => `test/integration/container/${name}.test.ts`),
        { TEST_CONTAINERS: "warm" },
      ),
      serial("e2e", 3, ["test/e2e/**/*.test.ts"]),
      serial("security", 4, ["test/security/**/*.test.ts"]),
      serial(
        "security-warm",
        5,
        ATTACKED_WHEN_WARM.map((name) => `test/security/${name}.test.ts`),
        { TEST_CONTAINERS: "warm" },
      ),
      serial("faults", 6, ["test/faults/**/*.test.ts"]),
    ],
  },
});

function serial(name: string, groupOrder: number, include: string[], env: Record<string, string> = {}) {
  return {
    test: {
      name,
      include,
      env,
      sequence: { groupOrder },
      fileParallelism: false,
      testTimeout: 60_000,
      hookTimeout: 120_000,
    },
  };
}
