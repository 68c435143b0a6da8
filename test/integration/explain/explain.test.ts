import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeDataDirectory } from "../../support/data-directory.ts";
import { bareEnvironment } from "../../support/environment.ts";

const program = join(import.meta.dirname, "../../../worker/commands/explain.ts");

/** Explains a job on a data directory of its own. */
async function explain(job: unknown) {
  await using data = await makeDataDirectory();
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "-"], {
    env: { ...bareEnvironment(), LONGSHORE_DATA: data.path },
    input: typeof job === "string" ? job : JSON.stringify(job),
    encoding: "utf8",
  });
  return { status, stdout, stderr, made: readdirSync(data.path) };
}

/** What a plan says it is for, in the order of its steps, each once in a row. */
function purposesOf(plan: string): string[] {
  const purposes = [...plan.matchAll(/^## (.+)$/gm)].map(([, purpose = ""]) => purpose);
  return purposes.filter((purpose, index) => purpose !== purposes[index - 1]);
}

describe("longshore explain", () => {
  it("prints a line for each system call of a job, under the process that makes it and what it is for", async () => {
    const { status, stdout, stderr } = await explain({ language: "python", source: "print(42)", arguments: ["a b"] });
    expect([status, stderr]).toEqual([0, ""]);
    const expected = [
      "cgroup",
      "union mount",
      "files",
      "namespaces",
      "devices",
      "pivot_root",
      "capabilities",
      "seccomp",
    ];
    const purposes = purposesOf(stdout);
    expect(purposes.filter((purpose) => expected.includes(purpose))).toEqual(expect.arrayContaining(expected));
    expect(purposes.indexOf("union mount")).toBeLessThan(purposes.indexOf("pivot_root"));
    expect(purposes.lastIndexOf("pivot_root")).toBeLessThan(purposes.indexOf("seccomp"));
    expect(purposes.indexOf("seccomp")).toBeLessThan(purposes.lastIndexOf("exec"));
    expect(stdout).toMatch(/^ *\d+ {2}clone3\(\{flags=CLONE_PARENT\|CLONE_NEWNS\|/m);
    expect(stdout).toMatch(
      /^ *\d+ {2}execve\("\/usr\/bin\/python3", \["python3", "main\.py", "a b"\], \[.*\]\)(?: {2}or go on)?$/m,
    );
    const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines.filter((line) => !/^ *\d* {2}\w+\(/.test(line))).toEqual([]);
  });

  it("explains the build and the run of what has to be compiled", async () => {
    const { stdout } = await explain({ language: "c", source: "int main(void) { return 0; }" });
    const [, build = "", run = ""] = stdout.split(/^# (?:BUILD|RUN)$/m);
    expect(build).toMatch(/execve\("\S+gcc", /);
    expect(run).toMatch(/execve\("\.\/main", /);
    expect(run).not.toMatch(/execve\("\S+gcc", /);
  });

  it("explains the builds of a judge, its first case and who says what it is worth", async () => {
    const cases = [
      { name: "one", stdin: "1", expected: "1", limits: { stackBytes: 1_234_944 } },
      { name: "two", stdin: "2", expected: "2" },
    ];
    const judge = { kind: "judge", language: "c", source: "int main(void) { return 0; }", cases };
    const titlesOf = (plan: string): string[] =>
      [...plan.matchAll(/^# ([A-Z]{3}.*)$/gm)].map(([, title = ""]) => title);

    const checked = await explain({ ...judge, checker: { type: "program", language: "python", source: "exit(0)" } });
    expect([checked.status, checked.stderr]).toEqual([0, ""]);
    expect(titlesOf(checked.stdout)).toEqual([
      "BUILD of the submission",
      "CASE one: the submission",
      "CASE one: the checker",
    ]);
    const [, , run = "", check = ""] = checked.stdout.split(/^# (?:BUILD|CASE) .*$/m);
    expect(run).toMatch(/execve\("\.\/main", \["\.\/main"\]/);
    expect(run).toContain("1234944");
    expect(check).toMatch(
      /execve\("\/usr\/bin\/python3", .*"\/judge\/input", "\/judge\/output", "\/judge\/expected"\]/,
    );

    const interactive = await explain({ ...judge, interactor: { language: "c", source: "int main(void) {}" } });
    expect(titlesOf(interactive.stdout)).toEqual([
      "BUILD of the submission",
      "BUILD of the interactor",
      "CASE one: the submission",
      "CASE one: the interactor, in the slot's companion at once",
    ]);
    const plain = await explain({ ...judge, language: "python", source: "" });
    expect(titlesOf(plain.stdout)).toEqual([]);
  });

  it("runs nothing", async () => {
    const { stdout, made } = await explain({ image: "bash", command: ["touch", "/tmp/never"] });
    expect(stdout).toContain('execve("/usr/bin/touch"');
    expect(made).toEqual(["images"]);
  });

  it.each([
    ["a job that the API would refuse, field by field", { language: "python", limits: { cpus: -1 } }, /limits\.cpus/],
    ["an image that is not here", { image: "absent", command: ["true"] }, /absent/],
    ["what is no JSON", "{", /JSON/],
  ])("says what is wrong with %s", async (_, job, message) => {
    const { status, stdout, stderr } = await explain(job);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(message);
  });
});
