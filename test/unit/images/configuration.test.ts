import { describe, expect, it } from "vitest";
import { configurationOf } from "../../../worker/images/configuration.ts";
import type { Recipe } from "../../../worker/images/recipe.ts";
import type { StoredImage } from "../../../worker/images/store.ts";

const [LOW, HIGH] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`] as const;
const CREATED = "2026-01-01T00:00:00.000Z";

function recipe(fields: Partial<Recipe>): Recipe {
  return { name: "tool", from: { debian: "bookworm" }, packages: [], commands: [], environment: {}, ...fields };
}

const lowLayer = { digest: LOW, path: "/layers/low", bytes: 1 };
const base: StoredImage = {
  reference: "base",
  digest: `sha256:${"3".repeat(64)}`,
  manifest: { schemaVersion: 2, config: { mediaType: "", digest: LOW, size: 0 }, layers: [] },
  layers: [lowLayer],
  config: configurationOf(
    recipe({
      name: "base",
      environment: { PATH: "/bin", LANG: "C.UTF-8" },
      command: ["bash"],
      user: "1000:1000",
      workingDirectory: "/work",
    }),
    undefined,
    lowLayer,
    CREATED,
  ),
};

describe("the configuration of an image", () => {
  it("inherits what its recipe does not say", () => {
    const { config } = configurationOf(recipe({}), base, undefined, CREATED);
    expect(config).toEqual({
      Env: ["PATH=/bin", "LANG=C.UTF-8"],
      Cmd: ["bash"],
      User: "1000:1000",
      WorkingDir: "/work",
    });
  });

  it("overrides variables in place and appends new ones", () => {
    const { config } = configurationOf(
      recipe({ environment: { EMPTY: "", PATH: "/opt=x" } }),
      base,
      undefined,
      CREATED,
    );
    expect(config.Env).toEqual(["PATH=/opt=x", "LANG=C.UTF-8", "EMPTY="]);
  });

  it("lists the added layer last, and says in its history which steps added none", () => {
    const withLayer = configurationOf(recipe({}), base, { digest: HIGH, path: "/layers/high", bytes: 1 }, CREATED);
    expect(withLayer.rootfs.diff_ids).toEqual([LOW, HIGH]);
    expect(withLayer.history?.map((entry) => entry.empty_layer)).toEqual([undefined, undefined]);
    const without = configurationOf(recipe({}), base, undefined, CREATED);
    expect(without.rootfs.diff_ids).toEqual([LOW]);
    expect(without.history?.map((entry) => entry.empty_layer)).toEqual([undefined, true]);
  });
});
