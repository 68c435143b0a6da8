/** Jobs of kind judge: over real HTTP, through Redis, in containers, with the machine's own images. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { judgeJobSchema } from "../../../shared/job.ts";
import { caseEventSchema, type JudgeResult } from "../../../shared/judge-result.ts";
import type { RunningApi } from "../../support/api.ts";
import { type Installation, startInstallation } from "../../support/installation.ts";
import { watchResponse } from "../../support/watch.ts";

let installation: Installation;
let api: RunningApi;

beforeAll(async () => {
  installation = await startInstallation(["bash", "python", "c"], { LONGSHORE_SLOTS: "2" });
  ({ api } = installation);
});

afterAll(async () => {
  await installation[Symbol.asyncDispose]();
});

/** Judges a submission and returns the result. */
async function judge(body: Record<string, unknown>): Promise<JudgeResult> {
  const response = await api.post({ kind: "judge", ...body }, { wait: 60 });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const job = judgeJobSchema.parse(await response.json());
  expect(job).toMatchObject({ state: "done", error: null });
  if (job.result === null) throw new Error("a job that is done has a result");
  return job.result;
}

const verdictsOf = ({ cases }: JudgeResult) => cases.map(({ verdict }) => verdict);

/** Prints twice what it reads; some inputs make it fail, in a way for each verdict. */
const DOUBLE = `
n=$(cat)
case $n in
  wrong) echo 0 ;;
  spaces) printf '1\\n\\n2\\n' ;;
  exit) exit 3 ;;
  abort) kill -SEGV $$ ;;
  busy) while :; do :; done ;;
  sleep) sleep 1000 ;;
  memory) x=$(head -c 300M /dev/zero | tr '\\0' x) ;;
  output) yes ;;
  *) echo $((n * 2)) ;;
esac`;

const failures = [
  ["2", "4", "accepted"],
  ["wrong", "1", "wrong_answer"],
  ["spaces", "1\n2\n", "presentation_error"],
  ["exit", "", "runtime_error"],
  ["abort", "", "runtime_error"],
  ["busy", "", "cpu_limit"],
  ["sleep", "", "wall_limit"],
  ["memory", "", "memory_limit"],
  ["output", "", "output_limit"],
] as const;

describe("a judge", () => {
  it("gives each case its verdict, in their order, with what the program said", async () => {
    // Of a busy machine, a program may get little for a while: only the one that waits runs out of time.
    const cases = failures.map(([stdin, expected]) => ({
      name: stdin,
      stdin,
      expected,
      limits: { wallTimeMs: stdin === "sleep" ? 500 : 60_000 },
    }));
    const limits = { cpuTimeMs: 500, memoryBytes: 67_108_864, outputBytes: 1_000_000 };
    const result = await judge({ language: "bash", source: DOUBLE, cases, limits, checker: { type: "lines" } });
    expect(verdictsOf(result)).toEqual(failures.map(([, , verdict]) => verdict));
    expect(result).toMatchObject({ verdict: "wrong_answer", points: 1, pointsMax: failures.length });
    expect(result.cases[1]?.message).toBe('line 1 is "0", expected "1"');
    expect(result.cases[3]).toMatchObject({ exitCode: 3, signal: null, message: "exit code 3" });
    expect(result.cases[4]).toMatchObject({ exitCode: null, signal: "SIGSEGV" });
    expect(result.usage.wallTimeMs).toBe(Math.max(...result.cases.map(({ usage }) => usage.wallTimeMs)));
  });

  it("compiles once, and not again for the same source", async () => {
    const source = `#include <stdio.h>\nint main(void) { int n; scanf("%d", &n); printf("%d\\n", n * 2); } // ${process.pid}`;
    const cases = Array.from({ length: 6 }, (_, n) => ({ name: String(n), stdin: String(n), expected: String(n * 2) }));
    const first = await judge({ language: "c", source, cases });
    const second = await judge({ language: "c", source, cases });
    expect([first.verdict, second.verdict]).toEqual(["accepted", "accepted"]);
    expect([first.builds.submission?.cached, second.builds.submission?.cached]).toEqual([false, true]);
    expect(second.builds.submission?.timings).toEqual(first.builds.submission?.timings);
    const other = await judge({ language: "c", source: `${source}!`, cases: cases.slice(0, 1) });
    expect(other.builds.submission?.cached).toBe(false);
  });

  it("tells who watches of each case once, in their order, of those that are skipped, too", async () => {
    const cases = ["1", "2", "wrong", "4", "5"].map((stdin) => ({
      name: stdin,
      stdin,
      expected: String(Number(stdin) * 2),
    }));
    const body = { kind: "judge", language: "bash", source: DOUBLE, cases, stopOn: "first-failure" };
    const response = await api.fetch("/v1/jobs?stream=true", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    await using watch = watchResponse(response);
    await watch.ended;
    const { result } = judgeJobSchema.parse(watch.dataOf("result")[0]);
    const told = caseEventSchema.array().parse(watch.dataOf("case"));
    expect(told.map(({ name, verdict }) => [name, verdict])).toEqual([
      ["1", "accepted"],
      ["2", "accepted"],
      ["wrong", "wrong_answer"],
      ["4", "skipped"],
      ["5", "skipped"],
    ]);
    expect(result?.cases).toMatchObject(
      told.map(({ name, verdict, points, message }) => ({ name, verdict, points, message })),
    );
    expect(watch.events.at(-1)?.name).toBe("result");
  });

  it("says what the compiler said, and runs nothing", async () => {
    const result = await judge({
      language: "c",
      source: "int main(void) { return undeclared; }",
      cases: [{ name: "1" }],
    });
    const message = "the submission cannot be built: see its build";
    expect(result).toMatchObject({ verdict: "compile_error", message, points: 0, pointsMax: 1 });
    expect(verdictsOf(result)).toEqual(["skipped"]);
    expect(result.builds.submission?.stderr.content).toMatch(/undeclared/);
  });

  it("stops at the first failure, whatever ran ahead", async () => {
    const cases = ["1", "wrong", "2", "exit", "3"].map((stdin) => ({
      name: stdin,
      stdin,
      expected: String(2 * Number(stdin)),
    }));
    const result = await judge({ language: "bash", source: DOUBLE, cases, stopOn: "first-failure" });
    expect(verdictsOf(result)).toEqual(["accepted", "wrong_answer", "skipped", "skipped", "skipped"]);
  });

  it("skips groups whose dependencies were not accepted, and gives groups their points", async () => {
    const one = (name: string, group: string, stdin = "1") => ({ name, group, stdin, expected: "2" });
    const cases = [one("a", "small"), one("b", "large", "wrong"), one("c", "large"), one("d", "huge")];
    const groups = [
      { name: "small", points: 30 },
      { name: "large", points: 30, dependsOn: ["small"] },
      { name: "huge", points: 40, dependsOn: ["large"] },
    ];
    const result = await judge({ language: "bash", source: DOUBLE, cases, groups, stopOn: "group-failure" });
    expect(verdictsOf(result)).toEqual(["accepted", "wrong_answer", "skipped", "skipped"]);
    expect(result.groups).toEqual([
      { name: "small", verdict: "accepted", points: 30, pointsMax: 30 },
      { name: "large", verdict: "wrong_answer", points: 0, pointsMax: 30 },
      { name: "huge", verdict: "skipped", points: 0, pointsMax: 40 },
    ]);
    expect(result).toMatchObject({ points: 30, pointsMax: 100 });
  });

  it("runs a case several times, and says how far the times are apart", async () => {
    const result = await judge({
      language: "bash",
      source: "echo x",
      cases: [{ name: "1", expected: "x" }],
      repeat: 5,
    });
    expect(result.cases[0]).toMatchObject({ verdict: "accepted", runs: 5 });
    expect(result.cases[0]?.spread.wallTimeMs).toBeGreaterThan(0);
  });

  it("compares what is larger than anything should have in memory", async () => {
    const source = "yes 0123456789abcde | head -c 100000000";
    const blob = await putPattern("0123456789abcde\n", 100_000_000);
    const cases = [{ name: "large", expected: { blob } }];
    const limits = { outputBytes: 100_000_000, memoryBytes: 33_554_432 };
    expect(await judge({ language: "bash", source, cases, limits, checker: { type: "exact" } })).toMatchObject({
      verdict: "accepted",
    });
    const short = await judge({
      language: "bash",
      source: `${source}; echo`,
      cases,
      limits: { ...limits, outputBytes: 100_000_001 },
      checker: { type: "exact" },
    });
    expect(short.verdict).toBe("presentation_error");
  });

  it("shows a submission its input, and neither the other files nor where they are", async () => {
    const source =
      "cat; readlink /proc/self/fd/0; ls -A /judge 2>&1 | tail -c 26; ls /proc/self/fd/0/..  2>/dev/null; echo $?";
    const result = await judge({ language: "bash", source, cases: [{ name: "1", stdin: "in\n", expected: "secret" }] });
    expect(result.cases[0]?.stdout.content).toBe("in\n/input\nNo such file or directory\n2\n");
  });
});

async function putPattern(line: string, bytes: number): Promise<string> {
  const content = Buffer.alloc(bytes, line);
  const response = await api.fetch("/v1/blobs", { method: "PUT", body: content });
  return ((await response.json()) as { digest: string }).digest;
}

/** Says by its exit code, and in words, what the first word of the output is. */
const CHECKER = `
import sys
_, inp, out, ans = sys.argv
words = open(out).read().split()
codes = {"ok": 0, "wrong": 1, "format": 2, "broken": 3, "half": 7, "toomuch": 7, "strange": 42}
said = {"half": "points 0.5 half of it", "toomuch": "points 5"}
word = words[0] if words else "wrong"
print(said.get(word, f"{word}: input {open(inp).read()!r}, answer {open(ans).read()!r}"), file=sys.stderr)
sys.exit(codes[word])`;

describe("a checker that is a program", () => {
  const words = ["ok", "wrong", "format", "broken", "half", "toomuch", "strange"];

  it("gives verdicts and points by its exit code, and its message is kept", async () => {
    const cases = words.map((word) => ({ name: word, stdin: word, expected: "answer" }));
    const result = await judge({
      language: "bash",
      source: "cat",
      cases,
      checker: { type: "program", language: "python", source: CHECKER },
    });
    expect(verdictsOf(result)).toEqual([
      "accepted",
      "wrong_answer",
      "presentation_error",
      "checker_error",
      "partially_correct",
      "checker_error",
      "checker_error",
    ]);
    expect(result).toMatchObject({ verdict: "checker_error", points: 1.5 });
    expect(result.cases[1]?.message).toBe("wrong: input 'wrong', answer 'answer'");
    expect(result.cases[4]).toMatchObject({ points: 0.5, message: "points 0.5 half of it" });
    expect(result.cases[5]?.message).toBe("the checker gave 5 points of 1: points 5");
  });

  it("is compiled once, and fails as a checker when it cannot be", async () => {
    const source = `int main(int argc, char **argv) { return argc == 4 ? 0 : 3; } // ${process.pid}`;
    const body = { language: "bash", source: "true", cases: [{ name: "1" }] };
    const checker = { type: "program", language: "c", source };
    expect(await judge({ ...body, checker })).toMatchObject({
      verdict: "accepted",
      builds: { checker: { cached: false } },
    });
    expect(await judge({ ...body, checker })).toMatchObject({
      verdict: "accepted",
      builds: { checker: { cached: true } },
    });
    const broken = await judge({ ...body, checker: { ...checker, source: "int main(" } });
    expect(broken).toMatchObject({
      verdict: "checker_error",
      message: "the checker cannot be built: see its build",
      builds: { checker: { exitCode: 1 } },
    });
    expect(verdictsOf(broken)).toEqual(["skipped"]);
  });

  it("that crashes or hangs is to blame, not the submission", async () => {
    const by = (source: string) =>
      judge({
        language: "bash",
        source: "true",
        cases: [{ name: "1" }],
        checker: { type: "program", language: "bash", source, limits: { wallTimeMs: 500 } },
      });
    expect(await by("kill -ABRT $$")).toMatchObject({
      verdict: "checker_error",
      message: "the checker failed: ended by SIGABRT",
    });
    expect(await by("sleep 1000")).toMatchObject({ verdict: "checker_error" });
  });
});
