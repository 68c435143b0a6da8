import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { judgeJobSchema } from "../../../shared/job.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/data-directory.ts";
import { type Longshore, startLongshore } from "../../support/longshore.ts";

let data: DataDirectory;
let longshore: Longshore;
let directory: Awaited<ReturnType<typeof mkdtempDisposable>>;

beforeAll(async () => {
  data = await makeDataDirectory();
  longshore = await startLongshore(data.path, { LONGSHORE_LOG_LEVEL: "error" });
  directory = await mkdtempDisposable(join(tmpdir(), "longshore-judge-"));
  const cases = join(directory.path, "problem/cases");
  await mkdir(join(cases, "large"), { recursive: true });
  await writeFile(join(cases, "1.in"), "2\n");
  await writeFile(join(cases, "1.out"), "4\n");
  const numbers = Array.from({ length: 5000 }, (_, n) => n).join("\n");
  await writeFile(join(cases, "large/1.in"), numbers);
  await writeFile(
    join(cases, "large/1.ans"),
    numbers.replaceAll(/\d+/g, (n) => String(2 * Number(n))),
  );
  await writeFile(join(directory.path, "double.sh"), `while read -r n || [ "$n" ]; do echo $((2 * n)); done`);
  await writeFile(join(directory.path, "four.sh"), "echo 4");
});
afterAll(async () => {
  await longshore.stop();
  await data[Symbol.asyncDispose]();
  await directory.remove();
});

const judge = (source: string, ...words: string[]) =>
  longshore.command(["judge", "problem", source, ...words], { directory: directory.path });

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
    const nothing = await longshore.command(["judge", ".", "double.sh"], { directory: directory.path });
    expect(nothing).toMatchObject({ exitCode: 125, stderr: expect.stringContaining("has no cases") });
    expect(await judge("double.txt")).toMatchObject({ exitCode: 125, stderr: expect.stringContaining("--language") });
  });
});
