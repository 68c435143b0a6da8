import { describe, expect, it } from "vitest";
import { describeShardRequest, type ShardOptions } from "../../../../services/cli/shard/request.ts";
import { defaultMaxima } from "../../../../shared/limits.ts";
import { createShardRequestSchema } from "../../../../shared/shard-request.ts";

const checkout = `sha256:${"0".repeat(64)}` as const;

function describeWith(options: Partial<ShardOptions>, items: readonly string[] | undefined = ["a.py"]) {
  const input = { checkout, items, command: ["pytest", "--junitxml=/out/junit.xml", "{items}"], suite: "project" };
  return describeShardRequest({ image: "python", at: "/work", ...options }, input);
}

describe("the request of longshore shard", () => {
  it("has what was said, and leaves the rest to the server", () => {
    expect(describeWith({})).toEqual({
      kind: "shard",
      image: "python",
      layers: [{ blob: checkout, at: "/work" }],
      workingDirectory: "/work",
      environment: {},
      items: ["a.py"],
      command: ["pytest", "--junitxml=/out/junit.xml", "{items}"],
      suite: "project",
      limits: {},
    });
  });

  it("is one that the server takes, with every option", () => {
    const layer = `sha256:${"1".repeat(64)}`;
    const options: Partial<ShardOptions> = {
      at: "/src",
      shards: "8",
      strategy: "dynamic",
      setup: "pip install .",
      discover: '["pytest", "--collect-only", "-q"]',
      report: ["/out/*.xml"],
      retryFailed: "2",
      failFast: true,
      suite: "unit",
      env: ["CI=true"],
      layer: [`${layer}=/opt/deps`],
      output: ["coverage/**"],
      priority: "high",
      cpus: "2",
    };
    const checked = createShardRequestSchema(defaultMaxima).parse(
      describeShardRequest(
        { image: "python", at: "/work", ...options },
        { checkout, items: undefined, command: ["pytest", "{items}"], suite: "project" },
      ),
    );
    expect(checked).toMatchObject({
      layers: [
        { blob: checkout, at: "/src" },
        { blob: layer, at: "/opt/deps" },
      ],
      workingDirectory: "/src",
      shards: 8,
      strategy: "dynamic",
      setup: ["sh", "-c", "pip install ."],
      discover: ["pytest", "--collect-only", "-q"],
      reportFiles: ["/out/*.xml"],
      retryFailed: 2,
      failFast: true,
      suite: "unit",
      environment: { CI: "true" },
      outputs: ["coverage/**"],
      priority: "high",
      limits: { cpus: 2 },
    });
  });

  it.each([
    [{ shards: "many" }, "--shards many is not a number"],
    [{ setup: "[make" }, "--setup [make begins as a list does, and is no list of strings in JSON"],
    [{ discover: "[1]" }, "--discover [1] begins as a list does, and is no list of strings in JSON"],
    [{ env: ["CI"] }, "--env CI is not NAME=VALUE"],
  ])("is not made of %j", (options, message) => {
    expect(() => describeWith(options)).toThrow(message);
  });
});
