import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { runJobSchema } from "../../../shared/job.ts";
import { makeDataDirectory } from "../../support/data-directory.ts";
import { childrenOf, type Longshore, startLongshore } from "../../support/longshore.ts";

async function post({ url }: Longshore, source: string) {
  const response = await fetch(`${url}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ language: "python", source }),
  });
  expect(response.status).toBe(202);
  return runJobSchema.parse(await response.json());
}

async function finished({ url }: Longshore, id: string) {
  for (;;) {
    const job = runJobSchema.parse(await (await fetch(`${url}/v1/jobs/${id}?wait=30`)).json());
    if (job.finishedAt !== null) return job;
  }
}

/** For starts that should fail: one that does not is not left running. */
async function startAndStop(...options: Parameters<typeof startLongshore>): Promise<void> {
  await using _longshore = await startLongshore(...options);
}

describe("npm start", () => {
  it("runs a first job, serves, and stops when it is told to", async () => {
    await using data = await makeDataDirectory();
    await using longshore = await startLongshore(data.path);
    expect(longshore.lines).toContainEqual(
      expect.stringMatching(/^Hello from Python 3\.\d+\.\d+: process \d+, user 1000,/),
    );
    expect((await fetch(`${longshore.url}/readyz`)).status).toBe(200);
    const children = childrenOf(longshore);
    expect([...children.keys()].toSorted()).toEqual(["api", "redis", "worker"]);

    expect(await longshore.stop()).toBe(0);
    for (const pid of children.values()) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("starts a killed worker again, which does the job that the dead one had", async () => {
    await using data = await makeDataDirectory();
    await using longshore = await startLongshore(data.path);
    const { id } = await post(longshore, "import time; time.sleep(1); print('done once')");
    const { promise: running, resolve } = Promise.withResolvers<void>();
    void (async () => {
      let state = "queued";
      while (state === "queued")
        state = runJobSchema.parse(await (await fetch(`${longshore.url}/v1/jobs/${id}`)).json()).state;
      resolve();
    })();
    await running;
    process.kill(childrenOf(longshore).get("worker") ?? 0, "SIGKILL");
    await longshore.line(/worker ended with SIGKILL; starting it again/);
    const job = await finished(longshore, id);
    expect(job).toMatchObject({ state: "done", attempt: 2, result: { stdout: { content: "done once\n" } } });
  });

  it("keeps accepted jobs when everything is killed at once", async () => {
    await using data = await makeDataDirectory();
    const ids: string[] = [];
    {
      await using longshore = await startLongshore(data.path);
      for (let index = 0; index < 5; index++) {
        ids.push((await post(longshore, `import time; time.sleep(0.5); print(${index})`)).id);
      }
      // Its children go with it: the kernel sees to that.
      longshore.process.kill("SIGKILL");
      await once(longshore.process, "exit");
    }
    await using again = await startLongshore(data.path);
    const jobs = await Promise.all(ids.map((id) => finished(again, id)));
    expect(jobs.map(({ result }) => result?.stdout.content)).toEqual(["0\n", "1\n", "2\n", "3\n", "4\n"]);
  });

  it("says why it does not start", async () => {
    await using data = await makeDataDirectory();
    await using first = await startLongshore(data.path);
    await expect(startAndStop(data.path)).rejects.toThrow(`another longshore uses ${data.path}`);
    await using other = await makeDataDirectory();
    const port = new URL(first.url).port;
    await expect(startAndStop(other.path, { LONGSHORE_PORT: port })).rejects.toThrow(`port ${port} is taken`);
    await expect(startAndStop(other.path, { LONGSHORE_SLOTS: "many" })).rejects.toThrow("LONGSHORE_SLOTS");
  });
});
