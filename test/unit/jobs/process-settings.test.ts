import { describe, expect, it } from "vitest";
import { environmentOf, userOf } from "../../../worker/jobs/process-settings.ts";
import { imageConfig } from "./sample.ts";

describe("the user of an image", () => {
  it.each([
    ["1000:1000", { uid: 1000, gid: 1000 }],
    ["65535:0", { uid: 65_535, gid: 0 }],
    ["7", { uid: 7, gid: 7 }],
    ["", { uid: 1000, gid: 1000 }],
    [undefined, { uid: 1000, gid: 1000 }],
  ])("is read from %j", (user, expected) => {
    expect(userOf(imageConfig(user === undefined ? {} : { User: user }))).toEqual(expected);
  });

  it.each(["root", "1000:staff", "65536", "1:65536", "-1", "1:", ":1", "1 ", "0x10"])("is refused as %j", (user) => {
    expect(() => userOf(imageConfig({ User: user }))).toThrow(JSON.stringify(user));
  });
});

describe("the environment", () => {
  it("is the image's, with the request's over it", () => {
    const config = imageConfig({ Env: ["A=1", "B=x=y", "EMPTY=", "BARE"] });
    expect(environmentOf(config, { A: "2", C: "3" })).toEqual({ A: "2", B: "x=y", EMPTY: "", BARE: "", C: "3" });
  });

  it("is the request's alone when the image has none", () => {
    expect(environmentOf(imageConfig({}), { A: "1" })).toEqual({ A: "1" });
  });
});
