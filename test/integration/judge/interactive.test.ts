/** Interactive cases: submission and interactor in two containers, with pipes between them. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { judgeJobSchema } from "../../../shared/job.ts";
import type { JudgeCaseResult } from "../../../shared/judge-result.ts";
import type { RunningApi } from "../../support/api.ts";
import { type Installation, startInstallation } from "../../support/installation.ts";

let installation: Installation;
let api: RunningApi;

beforeAll(async () => {
  // One slot: two containers talk all the same, and nobody waits for the other's place.
  installation = await startInstallation(["bash", "c", "python"], { LONGSHORE_SLOTS: "1" });
  ({ api } = installation);
});

afterAll(async () => {
  await installation[Symbol.asyncDispose]();
});

/** Knows a number from the input, answers guesses, and is content with seven of them. */
const INTERACTOR = `
read -r secret <"$1"
echo "$2 $3" >&2
for turn in 1 2 3 4 5 6 7; do
  read -r guess || { echo "unexpected end" >&2; exit 1; }
  if ((guess == secret)); then echo found; exit 0; fi
  if ((guess < secret)); then echo more; else echo less; fi
done
echo "too many guesses" >&2
exit 1`;

const SEARCH = `
low=1; high=100
while :; do
  guess=$(((low + high) / 2)); echo $guess
  read -r answer || exit 9
  case $answer in more) low=$((guess + 1)) ;; less) high=$((guess - 1)) ;; *) exit 0 ;; esac
done`;

async function interact(
  source: string,
  interactor = INTERACTOR,
  language = "bash",
  interactorLanguage = "bash",
): Promise<JudgeCaseResult> {
  const body = {
    kind: "judge",
    language,
    source,
    limits: { wallTimeMs: 1000 },
    cases: [{ name: "1", stdin: "73\n" }],
    interactor: { language: interactorLanguage, source: interactor, limits: { wallTimeMs: 1000 } },
  };
  const response = await api.post(body, { wait: 60 });
  const { result } = judgeJobSchema.parse(await response.json());
  const [only] = result?.cases ?? [];
  if (only === undefined) throw new Error("the job has no result");
  return only;
}

describe("an interactive case", () => {
  it("is accepted when the interactor says so", async () => {
    expect(await interact(SEARCH)).toMatchObject({
      verdict: "accepted",
      points: 1,
      message: "/tmp/output /judge/expected",
    });
  });

  it.each([
    ["bash", "echo 73; read -r answer; sleep 0.3; for n in 1 2 3; do echo $n || exit 5; done"],
    [
      "c",
      '#include <stdio.h>\nint main(void) { puts("73"); fflush(stdout); while (getchar() > 0); puts("1"); return 0; }',
    ],
    // It ignores SIGPIPE, and would end with 120 as it cannot write.
    ["python", "print(73, flush=True)\nimport sys\nsys.stdin.read()\nfor n in range(50000): print(n)"],
  ])("is accepted though a submission in %s says more than anybody wants to hear", async (language, source) => {
    expect(await interact(source, INTERACTOR, language)).toMatchObject({ verdict: "accepted", exitCode: 0 });
  });

  it("is no more accepted when the submission fails by itself afterwards", async () => {
    const failing = "echo 73; while read -r answer; do :; done; exit 9";
    expect(await interact(failing)).toMatchObject({ verdict: "runtime_error", exitCode: 9 });
  });

  it("is a wrong answer when the interactor says so, though the submission fails of that afterwards", async () => {
    const result = await interact("for n in 1 2 3 4 5 6 7 8; do echo $n; read -r answer || exit 9; done");
    expect(result).toMatchObject({ verdict: "wrong_answer", message: expect.stringMatching(/too many guesses$/) });
  });

  it("is the submission's fault when it says nothing, and waits", async () => {
    expect(await interact("read -r answer")).toMatchObject({ verdict: "wall_limit" });
  });

  it("is the submission's fault when it crashes, whatever the interactor makes of that", async () => {
    expect(await interact("echo 50; kill -SEGV $$")).toMatchObject({ verdict: "runtime_error", signal: "SIGSEGV" });
    expect(await interact("int main(void) { __builtin_trap(); }", "read -r line", "c")).toMatchObject({
      verdict: "runtime_error",
    });
  });

  it("ends when the submission does, with what the interactor says of it", async () => {
    expect(await interact("exit 0")).toMatchObject({
      verdict: "wrong_answer",
      message: expect.stringMatching(/unexpected end$/),
    });
  });

  it("is what the interactor says of it, though the submission does not wait for the last reply", async () => {
    const late = `read -r guess; sleep 0.3; for n in 1 2 3; do echo $n || exit 5; done; ((guess == 73))`;
    expect(await interact("echo 73", late)).toMatchObject({ verdict: "accepted" });
    expect(await interact("echo 72", late)).toMatchObject({ verdict: "wrong_answer" });
    // Written when it ends, by an interpreter that would end with 120 as it cannot write.
    const buffered = 'import time; print("found"); time.sleep(0.3)';
    expect(await interact("exit 0", buffered, "bash", "python")).toMatchObject({ verdict: "accepted" });
  });

  it("is wrong when the submission leaves, and the interactor never ends to speak to it", async () => {
    expect(await interact("echo 1; echo 2", "exec yes more")).toMatchObject({ verdict: "wrong_answer" });
  });

  it("is the interactor's fault when it crashes or hangs", async () => {
    expect(await interact(SEARCH, "kill -SEGV $$")).toMatchObject({ verdict: "checker_error" });
    expect(await interact(SEARCH, "sleep 1000")).toMatchObject({ verdict: "checker_error" });
  });

  it("lets programs open their streams by name", async () => {
    const source = "exec >/dev/stdout </dev/stdin; echo 73; read -r answer";
    expect(await interact(source)).toMatchObject({ verdict: "accepted" });
  });
});
