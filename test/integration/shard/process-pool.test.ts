import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { type ProcessLimits, ProcessPool } from "../../../worker/jobs/shard/reading/process-pool.ts";

const answerTasks = new URL("../../../worker/jobs/shard/reading/answer-tasks.ts", import.meta.url);

/** Answers a task with itself, but for those that take too much in some way. */
const MODULE = `
import { answerTasks } from ${JSON.stringify(answerTasks.href)};
answerTasks(async (task, tell) => {
  tell("the " + task);
  if (task === "throw") throw new RangeError("the task failed");
  if (task === "end") process.exit(3);
  if (task === "name") return process.pid;
  if (task === "secret") return process.env.SECRET;
  if (task === "for ever") await new Promise(() => setInterval(() => {}, 1000));
  if (task === "spin") for (;;);
  if (task === "parse") JSON.parse("[" + "[],".repeat(10_000_000) + "[]]");
  for (let kept = [{}]; task === "spread";) kept = [...kept, ...kept.map((each) => ({ ...each }))];
  return task;
});`;

const LIMITS: ProcessLimits = { wallTimeMs: 60_000, heapBytes: 64 * 1024 ** 2 };

interface Opened extends AsyncDisposable {
  run(task: string, signal?: AbortSignal): Promise<unknown>;
}

async function openPool(limits: ProcessLimits = LIMITS): Promise<Opened> {
  await using resources = new AsyncDisposableStack();
  const directory = resources.use(await mkdtempDisposable(join(tmpdir(), "longshore-processes-")));
  const file = join(directory.path, "process.mjs");
  await writeFile(file, MODULE);
  const pool = new ProcessPool<string, unknown>({ module: pathToFileURL(file), processesMax: 2, limits });
  const kept = resources.move();
  return {
    run: (task, signal = new AbortController().signal) => pool.run(task, signal),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe("a pool of processes", () => {
  it("does more tasks than it has processes, each in its turn, and takes those again that are idle", async () => {
    await using pool = await openPool();
    const tasks = ["a", "b", "c", "d", "e"];
    expect(await Promise.all(tasks.map((task) => pool.run(task)))).toEqual(tasks);
    expect(await pool.run("name")).toBe(await pool.run("name"));
  });

  it("fails what a task throws, and goes on", async () => {
    await using pool = await openPool();
    await expect(pool.run("throw")).rejects.toThrow(new RangeError("the task failed"));
    await expect(pool.run("end")).rejects.toThrow("ended by exit code 3");
    expect(await pool.run("a")).toBe("a");
  });

  it("ends a task that takes too long, even one that never waits, and says what it was at", async () => {
    await using pool = await openPool({ ...LIMITS, wallTimeMs: 3000 });
    for (const task of ["spin", "for ever"]) {
      await expect(pool.run(task)).rejects.toMatchObject({
        name: "ProcessLimitError",
        message: "takes more than 3 s",
        at: `the ${task}`,
      });
    }
  });

  // Both end more than a thread, where they are done in one.
  it.each(["parse", "spread"])("ends a task that takes too much memory, and no other (%s)", async (task) => {
    await using pool = await openPool();
    const abort = new AbortController();
    const other = pool.run("for ever", abort.signal);
    await expect(pool.run(task)).rejects.toMatchObject({
      name: "ProcessLimitError",
      message: "takes more than 67108864 bytes of memory",
      at: `the ${task}`,
    });
    expect(await pool.run("a")).toBe("a");
    abort.abort(new Error("enough"));
    await expect(other).rejects.toThrow("enough");
  });

  it("hands on nothing of its own environment", async () => {
    process.env["SECRET"] = "x";
    await using pool = await openPool();
    expect(await pool.run("secret")).toBeUndefined();
  });
});
