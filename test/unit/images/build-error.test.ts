import { describe, expect, it } from "vitest";
import { explainBuildFailure, ImageBuildError } from "../../../worker/images/build-error.ts";
import { CommandError, runCommand } from "../../../worker/images/process.ts";

function explain(...lines: string[]): string {
  return explainBuildFailure("python", "/data/images", new CommandError("mmdebstrap", "exit code 25", lines)).message;
}

describe("a failed build", () => {
  it("names the program that is missing and the package that has it", () => {
    expect(explain("unshare: failed to execute mmdebstrap: No such file or directory")).toBe(
      "image python could not be built: mmdebstrap is not installed: apt-get install mmdebstrap",
    );
  });

  it("names the mirror that cannot be reached", () => {
    const message = explain(
      "Err:1 http://deb.debian.org/debian bookworm InRelease",
      "  Temporary failure resolving 'deb.debian.org'",
    );
    expect(message).toMatch(/Temporary failure resolving 'deb\.debian\.org'.*check the network/);
  });

  it("names the directory whose disk is full", () => {
    expect(explain("dpkg: error: /x: No space left on device")).toMatch(
      /disk is full: free some space under \/data\/images/,
    );
    const error = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    expect(explainBuildFailure("python", "/data/images", error).message).toMatch(/disk is full/);
  });

  it("names the package that the sources do not have", () => {
    expect(explain("E: Unable to locate package nosuch")).toMatch(
      /Unable to locate package nosuch: correct its Dockerfile/,
    );
  });

  it("shows the output of a failure that nobody foresaw", () => {
    expect(explain("one", "two")).toMatch(/mmdebstrap ended with exit code 25: two\none\ntwo/);
  });

  it("of an image it starts from is passed on as it is", () => {
    const error = new ImageBuildError("debian", "no root");
    expect(explainBuildFailure("python", "/data/images", error)).toBe(error);
  });

  it("for a missing program is told from the error of spawn", async () => {
    const error = await runCommand("longshore-no-such-program", []).catch((error: unknown) => error);
    expect(explainBuildFailure("python", "/data", error).message).toMatch(/longshore-no-such-program is not installed/);
  });
});

describe("a command", () => {
  it("is killed by its signal, and waited for", async () => {
    const controller = new AbortController();
    const running = runCommand("sh", ["-c", "echo up; exec sleep 1000"], {
      environment: { PATH: "/usr/bin:/bin" },
      signal: controller.signal,
      onLine: () => controller.abort(new Error("enough")),
    });
    await expect(running).rejects.toThrow("enough");
  });

  it("gets the stated environment only", async () => {
    const lines: string[] = [];
    await runCommand("/usr/bin/env", [], { environment: { ONLY: "this" }, onLine: (line) => lines.push(line) });
    expect(lines).toEqual(["ONLY=this"]);
  });
});
