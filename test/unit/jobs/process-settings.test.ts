import { describe, expect, it } from "vitest";
import { commandOf, environmentOf, workingDirectoryOf } from "../../../worker/jobs/process-settings.ts";
import { imageConfig } from "./sample.ts";

describe("the environment", () => {
  it("is the image's, with the request's over it and the user's home below it", () => {
    const config = imageConfig({ Env: ["A=1", "B=x=y", "EMPTY="] });
    const expected = { HOME: "/home/app", A: "2", B: "x=y", EMPTY: "", C: "3" };
    expect(environmentOf(config, "/home/app", { A: "2", C: "3" })).toEqual(expected);
    expect(environmentOf(imageConfig({ Env: ["HOME=/work"] }), "/home/app", {})).toEqual({ HOME: "/work" });
  });

  it("lacks what the image names without a value, as in Docker, but for the home", () => {
    const config = imageConfig({ Env: ["A=1", "B=1", "BARE", "A", "HOME", "B=2"] });
    expect(environmentOf(config, "/home/app", {})).toEqual({ HOME: "/home/app", B: "2" });
  });

  it("is refused when the image has a value without a name", () => {
    expect(() => environmentOf(imageConfig({ Env: ["=1"] }), "/", {})).toThrow('its Env has "=1", which names no');
  });

  it("is the request's and the home when the image has none", () => {
    expect(environmentOf(imageConfig({ Env: null }), "/", { A: "1" })).toEqual({ HOME: "/", A: "1" });
    expect(environmentOf(imageConfig({}), "/", { A: "1" })).toEqual({ HOME: "/", A: "1" });
  });

  it.each([
    ["Env", [`A=${"a".repeat(100_000)}`]],
    ["Env", ["A=\0"]],
    ["PATH", [`PATH=${":".repeat(5000)}`]],
  ])("is refused when its %s is more than a process can take", (what, Env) => {
    expect(() => environmentOf(imageConfig({ Env }), "/", {})).toThrow(new RegExp(`^its ${what} (are|is|have) `));
  });
});

describe("the command of an image", () => {
  it.each([
    [{ Entrypoint: ["/entry", "a"], Cmd: ["b"] }, [], ["/entry", "a", "b"]],
    [{ Cmd: ["b", "c"] }, [], ["b", "c"]],
    [{ Entrypoint: ["/entry"], Cmd: null }, [], ["/entry"]],
    // As docker run has it.
    [{ Entrypoint: ["/entry"], Cmd: ["b"] }, ["x", "y"], ["/entry", "x", "y"]],
    [{ Entrypoint: null, Cmd: ["b"] }, ["x"], ["x"]],
  ])("of %j with %j is %j", (config, requested, expected) => {
    expect(commandOf(imageConfig(config), requested)).toEqual(expected);
  });

  it.each([{}, { Entrypoint: [], Cmd: [] }, { Cmd: [""] }])("of %j is none", (config) => {
    expect(() => commandOf(imageConfig(config), [])).toThrow("give the job a command");
  });

  it("is refused when it is more than a process can take", () => {
    expect(() => commandOf(imageConfig({ Cmd: ["a", "b".repeat(100_000)] }), [])).toThrow("its Entrypoint and Cmd");
    expect(() => commandOf(imageConfig({ Entrypoint: ["a\0"] }), ["x"])).toThrow("have a NUL");
  });
});

describe("the working directory", () => {
  it.each([
    [undefined, "/work"],
    ["", "/work"],
    ["/", "/work"],
    ["//", "/work"],
    ["/srv/app", "/srv/app"],
    ["/srv//app/", "/srv/app"],
    ["/srv/../app/.", "/app"],
  ])("of an image that says %j is %s", (WorkingDir, expected) => {
    expect(workingDirectoryOf(imageConfig(WorkingDir === undefined ? {} : { WorkingDir }))).toBe(expected);
  });

  it.each(["app", "./app", "/a\0b", `/${"a".repeat(256)}`])("of an image that says %j is refused", (WorkingDir) => {
    expect(() => workingDirectoryOf(imageConfig({ WorkingDir }))).toThrow(/^its WorkingDir /);
  });
});
