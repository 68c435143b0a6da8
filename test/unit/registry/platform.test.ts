import { describe, expect, it } from "vitest";
import { choosePlatform, formatPlatform, type Platform } from "../../../worker/images/registry/platform.ts";

function platform(text: string): Platform {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, variant };
}

/** What is chosen of an index that offers these. */
function choose(offered: string, wanted: string): string | undefined {
  const entries = offered.split(" ").map((text) => ({ platform: platform(text) }));
  const chosen = choosePlatform([{ platform: undefined }, ...entries], platform(wanted))?.platform;
  return chosen && formatPlatform(chosen);
}

describe("an index", () => {
  const many = "unknown/unknown linux/amd64 linux/arm/v5 linux/arm/v7 linux/arm/v6 linux/arm64/v8 windows/amd64";

  it.each([
    ["linux/amd64", "linux/amd64"],
    ["linux/arm64", "linux/arm64/v8"],
    ["linux/arm64/v8", "linux/arm64/v8"],
    ["linux/arm64/v9", "linux/arm64/v8"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/v7", "linux/arm/v7"],
    ["linux/arm/v6", "linux/arm/v6"],
    ["linux/arm/v8", "linux/arm/v7"],
    ["windows/amd64", "windows/amd64"],
  ])("offers %s what it can run best: %s", (wanted, chosen) => {
    expect(choose(many, wanted)).toBe(chosen);
  });

  it.each(["linux/riscv64", "linux/arm/v4", "freebsd/amd64", "linux/arm/fast"])("has nothing for %s", (wanted) => {
    expect(choose(many, wanted)).toBeUndefined();
  });

  it("with code for newer processors gives them what they can run, and others what is plain", () => {
    expect(choose("linux/amd64/v3 linux/amd64 linux/amd64/v2", "linux/amd64")).toBe("linux/amd64");
    expect(choose("linux/amd64 linux/amd64/v2 linux/amd64/v3", "linux/amd64/v2")).toBe("linux/amd64/v2");
    expect(choose("linux/amd64/v3", "linux/amd64")).toBeUndefined();
  });

  it("that offers the same twice gives the first", () => {
    const [first, second] = [
      { platform: platform("linux/amd64"), n: 1 },
      { platform: platform("linux/amd64"), n: 2 },
    ];
    expect(choosePlatform([first, second], platform("linux/amd64"))).toBe(first);
  });
});
