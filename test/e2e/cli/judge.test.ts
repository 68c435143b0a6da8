import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { judgeJobSchema } from "../../../shared/job.ts";
import { type CommandLine, startCommandLine } from "../../support/command-line.ts";

let commandLine: CommandLine;

beforeAll(async () => {
  commandLine = await startCommandLine(["bash"]);
  const numbers = Array.from({ length: 5000 }, (_, n) => n).join("\n");
  await commandLine.write({
    "problem/cases/1.in": "2\n",
    "problem/cases/1.out": "4\n",
    "problem/cases/large/1.in": numbers,
    "problem/cases/large/1.ans": numbers.replaceAll(/\d+/g, (n) => String(2 * Number(n))),
    "double.sh": `while read -r n || [ "$n" ]; do echo $((2 * n)); done`,
    "four.sh": "echo 4",
  });
});
afterAll(() => commandLine[Symbol.asyncDispose]());

const judge = (source: string, ...words: string[]) => commandLine.longshore(["judge", "problem", source, ...words]);

describe("longshore judge", () => {
  it("prints a line for each case and one for the whole, and exits with 0 for what is accepted", async () => {
    const { exitCode, stdout, stderr } = await judge("double.sh");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.toString().split("\n");
    expect(lines[0]).toMatch(/^1 {8}accepted +\d+ ms {2}[\d.]+ MiB$/);
    expect(lines[1]).toMatch(/^large\/1 {2}accepted /);
    expect(lines[2]).toMatch(/^accepted, 2 of 2 points, \d+ ms, [\d.]+ MiB$/);
  });

  it("says what is wrong, and exits with 1", async () => {
    const { exitCode, stdout } = await judge("four.sh");
    expect(exitCode).toBe(1);
    expect(stdout.toString()).toMatch(/large\/1 {2}wrong_answer .* token 1 is "4", expected "0"\n/);
    expect(stdout.toString()).toMatch(/\nwrong_answer, 1 of 2 points, .*: token 1 is "4", expected "0"\n$/);
  });

  it("prints the job as JSON where that is asked for", async () => {
    const { stdout } = await judge("double.sh", "--json", "--repeat", "2");
    const { result } = judgeJobSchema.parse(JSON.parse(stdout.toString()));
    expect(result?.cases.map(({ runs }) => runs)).toEqual([2, 2]);
  });

  it("exits with 125 where there is nothing to judge", async () => {
    const nothing = await commandLine.longshore(["judge", ".", "double.sh"]);
    expect(nothing).toMatchObject({ exitCode: 125, stderr: expect.stringContaining("has no cases") });
    expect(await judge("double.txt")).toMatchObject({ exitCode: 125, stderr: expect.stringContaining("--language") });
  });
});
