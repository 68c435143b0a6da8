import { defineConfig } from "vitest/config";

/**
 * Four groups of tests, run one after the other (`groupOrder`).
 *
 * Unit tests need neither root nor Redis and run in parallel. The others start real servers and containers, some with
 * a whole CPU's load, so their files take turns: what one measures another must not disturb.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], sequence: { groupOrder: 0 } } },
      serial("integration", 1),
      serial("e2e", 2),
      serial("security", 3),
    ],
  },
});

function serial(name: string, groupOrder: number) {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      sequence: { groupOrder },
      fileParallelism: false,
      testTimeout: 60_000,
      hookTimeout: 120_000,
    },
  };
}
