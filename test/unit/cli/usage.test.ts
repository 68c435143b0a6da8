import { describe, expect, it } from "vitest";
import { runCommand } from "../../support/longshore.ts";

describe("a command line", () => {
  it.each([
    ["without a command", [], /^Usage: longshore /],
    ["with an unknown command", ["nope"], /^longshore: unknown command 'nope'\n$/],
    ["that runs nothing", ["run"], /^longshore: name the program's files, or --image\n$/],
    ["with an unknown option", ["run", "--nope", "x"], /^longshore: unknown option '--nope'\n/],
    ["with a value that is none", ["run", "--priority", "huge", "x"], /^longshore: option '--priority <level>' .*\n$/],
  ])("%s exits with 125, since nothing was run, and says so once", async (_, words, message) => {
    const { exitCode, stdout, stderr } = await runCommand(words);
    expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 125, stdout: "" });
    expect(stderr).toMatch(message);
  });

  it.each([[["--help"]], [["run", "--help"]]])("exits with 0 for help: %j", async (words) => {
    const { exitCode, stdout, stderr } = await runCommand(words);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout.toString()).toMatch(/^Usage: longshore /);
  });
});
