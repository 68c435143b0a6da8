import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ThreadPool } from "../../../worker/images/thread-pool.ts";

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-threads-"));
  file = join(directory, "thread.mjs");
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Threads that answer a task with itself, but for `for ever`, which never ends, and `throw`. */
async function openPool(threadsMax: number): Promise<ThreadPool<string, string>> {
  await writeFile(
    file,
    `export default async (task) => {
      if (task === "throw") throw new Error("the task failed");
      if (task === "for ever") await new Promise(() => setInterval(() => {}, 1000));
      return task;
    };`,
  );
  return new ThreadPool({ module: pathToFileURL(file), threadsMax });
}

describe("a pool of threads", () => {
  it("does more tasks than it has threads, each in its turn", async () => {
    const pool = await openPool(2);
    const tasks = ["a", "b", "c", "d", "e"];
    expect(await Promise.all(tasks.map((task) => pool.run(task)))).toEqual(tasks);
  });

  it("fails what a thread throws, and goes on", async () => {
    const pool = await openPool(1);
    await expect(pool.run("throw")).rejects.toThrow("the task failed");
    expect(await pool.run("a")).toBe("a");
  });

  it("does the tasks that wait when those before them are aborted", async () => {
    const pool = await openPool(2);
    const abort = new AbortController();
    const aborted = [pool.run("for ever", abort.signal), pool.run("for ever", abort.signal)];
    const waiting = [pool.run("a"), pool.run("b"), pool.run("c", new AbortController().signal)];
    abort.abort(new Error("enough"));
    for (const task of aborted) await expect(task).rejects.toThrow("enough");
    expect(await Promise.all(waiting)).toEqual(["a", "b", "c"]);
  });

  it("lets go of a task that is aborted while it waits", async () => {
    const pool = await openPool(1);
    const [first, second] = [new AbortController(), new AbortController()];
    const running = pool.run("for ever", first.signal);
    const waiting = pool.run("a", second.signal);
    const next = pool.run("b");
    second.abort(new Error("not wanted any more"));
    await expect(waiting).rejects.toThrow("not wanted any more");
    first.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect(await next).toBe("b");
  });

  it("fails all tasks when its threads cannot begin, says why, and begins anew with the next", async () => {
    const pool = await openPool(2);
    const working = `export default (task) => task;`;
    await writeFile(file, `import { missing } from "node:fs"; export default missing;`);
    const results = await Promise.allSettled(["a", "b", "c"].map((task) => pool.run(task)));
    for (const result of results) {
      expect(result).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining("missing") } });
    }
    await writeFile(file, working);
    expect(await pool.run("d")).toBe("d");
  });
});
