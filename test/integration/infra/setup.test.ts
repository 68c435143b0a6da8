import { spawnSync } from "node:child_process";
import { readdirSync, symlinkSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const script = join(import.meta.dirname, "../../../infra/setup.sh");

/** Runs the set-up where only these programs of the machine's are there. */
async function setUp(profile: string, has: (program: string) => boolean) {
  await using programs = await mkdtempDisposable(join(tmpdir(), "longshore-programs-"));
  for (const name of readdirSync("/usr/bin").filter((program) => has(program))) {
    symlinkSync(join("/usr/bin", name), join(programs.path, name));
  }
  const { status, stdout, stderr } = spawnSync("/usr/bin/bash", [script, profile], {
    env: { PATH: programs.path },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("a set-up that cannot install what is missing says what it is, and how to get it", async () => {
  const { status, stderr } = await setUp(
    "worker",
    (program) => !["apt-get", "mmdebstrap", "setpriv"].includes(program),
  );
  expect(status).toBe(1);
  expect(stderr).toBe(
    "longshore: missing: util-linux mmdebstrap (names of Debian packages), and there is no apt-get here\n" +
      "           install the same with this system's own package tool\n",
  );
});

test("a set-up for what there is not says what there is", async () => {
  const { status, stderr } = await setUp("everything", () => true);
  expect(status).toBe(1);
  expect(stderr).toBe("longshore: unknown profile everything\n           infra/setup.sh api|worker|start|test|v2\n");
});
