/** Submissions that want a verdict they have not earned: from the expected output, from other cases, from the checker. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { judgeJobSchema } from "../../shared/job.ts";
import type { JudgeResult } from "../../shared/judge-result.ts";
import { patiently } from "../support/patience.ts";
import { Target } from "./target.ts";

let target: Target;
beforeAll(async () => {
  target = await Target.open();
});
afterAll(() => target[Symbol.asyncDispose]());

async function judge(fields: Record<string, unknown>): Promise<JudgeResult> {
  const response = await target.submit({ kind: "judge", language: "python", limits: LIMITS, ...fields });
  const { id } = (await response.json()) as { id: string };
  for (;;) {
    const job = judgeJobSchema.parse(await (await fetch(`${target.url}/v1/jobs/${id}?wait=30`)).json());
    if (job.finishedAt === null) continue;
    if (job.result === null) throw new Error(`the job is ${job.state}: ${job.error?.message}`);
    return job.result;
  }
}

/** Patience with starts of Python, and of what it imports, on a machine that is emulated. */
const LIMITS = { wallTimeMs: 60_000, cpuTimeMs: 30_000 };
const verdictsOf = ({ cases }: JudgeResult): string[] => cases.map(({ verdict }) => verdict);

/** Reads its input, and prints its double. */
const HONEST = "print(int(input()) * 2)";

describe("a submission", () => {
  test("finds the expected output nowhere", async () => {
    const secret = randomUUID();
    const source = `
import os, re, sys
mark = "${secret.slice(0, 8)}" + "-"
places = [f"/proc/self/fd/{n}" for n in range(64)] + [f"/proc/self/fd/{n}/.." for n in range(64)]
places += ["/", os.path.realpath("/proc/self/fd/0"), os.path.dirname(os.path.realpath("/proc/self/fd/0")), "/proc/1/root", "/proc/1/cwd"]
seen = set()
def look(path):
    try: content = open(path, "rb").read(1 << 20).decode(errors="replace")
    except Exception: return
    for found in re.findall(mark + r"[0-9a-f-]{27}", content): print(found); sys.exit()
for place in places:
    if os.path.isfile(place): look(place)
    for directory, folders, files in os.walk(place):
        if directory.startswith(("/usr", "/proc", "/lib")): folders.clear(); continue
        for name in files:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and path not in seen: seen.add(path); look(path)
for text in (open("/proc/self/mountinfo").read(), open("/proc/self/environ").read(), open("/proc/self/cmdline").read()):
    if "longshore-data" in text or "cases" in text: print("it is told where the files are", text)
print("nothing")`;
    // Its own source has the beginning of what it looks for, which is not enough.
    const result = await judge({ source, cases: [{ name: "a", stdin: "1", expected: secret }] });
    expect(result.cases[0]).toMatchObject({ verdict: "wrong_answer", stdout: { content: "nothing\n" } });
    // It would have: where the answer lies in a place of its own, it is found.
    const files = [{ path: "deep/answer", content: secret }];
    const found = await judge({ source, files, cases: [{ name: "a", stdin: "1", expected: secret }] });
    expect(found.cases[0]?.stdout.content.trim()).toBe(secret);
  });

  test("finds nothing of another case, nor of another run of the same one", async () => {
    const source = `
import glob, os, subprocess, sys, time
number = input()
left = [path for pattern in ("/tmp/*", "/dev/shm/*", "/work/*.left") for path in glob.glob(pattern)]
others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
for place in ("/tmp/", "/dev/shm/", "/work/"): open(place + number + ".left", "w").write(number)
if os.fork() == 0:
    os.setsid()
    time.sleep(100)
try: os.write(os.open("/proc/self/fd/0", os.O_RDWR), b"8")
except OSError: pass
try: os.truncate("/proc/self/fd/0", 0)
except OSError: pass
print(number if not left and not others else (left, others))`;
    const cases = ["1", "2", "3"].map((name) => ({ name, stdin: name, expected: name }));
    const result = await judge({ source, cases, repeat: 3 });
    expect(result.cases.map(({ stdout }) => stdout.content)).toEqual(["1\n", "2\n", "3\n"]);
    expect(verdictsOf(result)).toEqual(["accepted", "accepted", "accepted"]);
  });

  test.each([
    ["kills all that it can", "import os, signal; os.kill(-1, signal.SIGKILL)"],
    ["prints without end", "while True: print('2' * 10000)"],
    ["prints no text", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100)"],
    ["prints what a checker could say", "print('accepted\\npoints 100\\n\\x1b[2K\\x00'); raise SystemExit(7)"],
    ["prints the right answer, then more", "print(2); print(2)"],
    ["prints it and fails", "print(2); raise SystemExit(1)"],
    ["prints it to the wrong stream", "import sys; print(2, file=sys.stderr)"],
    ["stops itself", "import os; print(2, flush=True); os.kill(os.getpid(), 19)"],
    ["says that it is something else", "import ctypes; ctypes.CDLL(None).prctl(15, b'checker', 0, 0, 0); print(3)"],
  ])("that %s is not accepted, and the next case is judged as ever", async (_, attack) => {
    const source = `n = int(input())\nif n == 2: print(4)\nelse:\n    exec(${JSON.stringify(attack)})`;
    const limits = { ...LIMITS, wallTimeMs: patiently(5000) };
    const cases = [
      { name: "attacked", stdin: "1", expected: "2" },
      { name: "next", stdin: "2", expected: "4" },
    ];
    const [attacked, next] = verdictsOf(await judge({ source, limits, cases }));
    expect(attacked).not.toBe("accepted");
    expect(attacked).not.toBe("checker_error");
    expect(next).toBe("accepted");
  });
});

describe("a checker that is a program", () => {
  const checker = (source: string) => ({ type: "program", language: "python", source, limits: LIMITS });

  test("sees the submission's output as bytes of a file, whatever they are, and none of its files and processes", async () => {
    const output = "$(touch /work/injected)`id`; exit 0\u0000\u001b[2J../../etc/passwd\n";
    const source = `
import os, sys, time
open("/tmp/trap", "w").write("trap"); open("/work/checker.py", "w").write("raise SystemExit(0)")
if os.fork() == 0: os.setsid(); time.sleep(100)
sys.stdout.write(${JSON.stringify(output)})`;
    const honest = `
import glob, os, sys
said = open(sys.argv[2], newline="").read()
other = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
print(said == ${JSON.stringify(output)}, glob.glob("/tmp/*"), glob.glob("/work/injected"), other, file=sys.stderr)
raise SystemExit(1)`;
    const result = await judge({ source, cases: [{ name: "a", stdin: "1" }], checker: checker(honest) });
    expect(result.cases[0]).toMatchObject({ verdict: "wrong_answer", message: "True [] [] []" });
  });

  test("cannot be kept from its verdict by a submission that leaves nothing, or very much", async () => {
    const length = "import os, sys\nprint(os.path.getsize(sys.argv[2]), file=sys.stderr)\nraise SystemExit(1)";
    const limits = { ...LIMITS, outputBytes: 4 * 1024 * 1024 };
    const cases = [
      { name: "a", stdin: "0" },
      { name: "b", stdin: "4194304" },
    ];
    const source = "import sys; sys.stdout.write('x' * int(input()))";
    const result = await judge({ source, limits, cases, checker: checker(length) });
    expect(result.cases.map(({ verdict, message }) => [verdict, message])).toEqual([
      ["wrong_answer", "0"],
      ["wrong_answer", "4194304"],
    ]);
  });
});

describe("an interactor", () => {
  const interactor = {
    language: "python",
    source: `
import sys
secret = open(sys.argv[1]).read().strip()
print("guess", flush=True)
answer = sys.stdin.readline(1 << 16).strip()
print("heard", len(answer), file=sys.stderr)
raise SystemExit(0 if answer == secret else 1)`,
    limits: { wallTimeMs: patiently(3000) },
  };

  test.each([
    ["says nothing", "import time; time.sleep(100)"],
    ["closes its streams and waits", "import os, time; os.close(0); os.close(1); os.close(2); time.sleep(100)"],
    ["floods it with a line without end", "import sys\nwhile True: sys.stdout.write('x' * 65536)"],
    ["floods it with lines", "while True: print(1)"],
    ["stops itself", "import os; os.kill(0, 19)"],
    [
      "reads what it was not told",
      "import os\nfor n in range(64):\n    try: print(os.read(n, 100) if n else 1)\n    except OSError: pass",
    ],
    ["opens the pipes anew", "print(open('/proc/self/fd/1').readline(), open('/proc/self/fd/0', 'w').write('x'))"],
    ["ends at once", "pass"],
  ])("is not taken in by a submission that %s", async (_, source) => {
    const limits = { ...LIMITS, wallTimeMs: patiently(3000) };
    const secret = randomUUID();
    const result = await judge({ source, limits, cases: [{ name: "a", stdin: secret }], interactor });
    expect(verdictsOf(result)).not.toEqual(["accepted"]);
    expect(JSON.stringify(result.cases[0]?.stdout)).not.toContain(secret);
  });

  test("judges an honest one after all of them", async () => {
    const source = "input(); print('known', flush=True)";
    const result = await judge({ source, cases: [{ name: "a", stdin: "known" }], interactor });
    expect(verdictsOf(result)).toEqual(["accepted"]);
    expect(verdictsOf(await judge({ source: HONEST, cases: [{ name: "a", stdin: "2", expected: "4" }] }))).toEqual([
      "accepted",
    ]);
  });
});
