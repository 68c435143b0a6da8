import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

let redis: RedisServer;
let data: DataDirectory;
/** Only root can enter it, as is asked of the directories of writable volumes. */
let directory: string;
beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash", "c");
  directory = mkdtempSync(join(tmpdir(), "longshore-volumes-"));
  for (const name of ["readable", "writable"]) {
    mkdirSync(join(directory, name));
    chmodSync(join(directory, name), 0o777);
    writeFileSync(join(directory, name, "file"), `${name}\n`);
  }
});
afterAll(async () => {
  await redis.stop();
  await data[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function startWorker(volumes: string) {
  const own = { REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "1" };
  return startWorkerProcess({ ...own, LONGSHORE_VOLUMES: volumes });
}

describe("a worker with volumes", () => {
  it("mounts them for the build and the run of a job, by their names", async () => {
    await using worker = startWorker(`in=${directory}/readable,out=${directory}/writable:rw`);
    await worker.ready;
    await using client = await Client.open(redis.url);
    const source = `#include <stdio.h>
      #include "/mnt/in/value.h"
      int main(void) { fprintf(fopen("/mnt/out/result", "w"), "%d", VALUE); return fopen("/mnt/in/new", "w") != NULL; }`;
    writeFileSync(join(directory, "readable/value.h"), "#define VALUE 42\n");
    const volumes = [
      { name: "in", at: "/mnt/in" },
      { name: "out", at: "/mnt/out", mode: "rw" },
    ];
    const job = await client.run({ language: "c", source, volumes });
    expect(job).toMatchObject({ state: "done", result: { outcome: "exited", exitCode: 0 } });
    expect(readFileSync(join(directory, "writable/result"), "utf8")).toBe("42");
  });

  it("fails a job that asks for what it does not have, or for a place that is none", async () => {
    await using worker = startWorker(`in=${directory}/readable`);
    await worker.ready;
    await using client = await Client.open(redis.url, 1);
    const job = async (volume: object) =>
      (await client.run({ image: "bash", command: ["true"], volumes: [volume] })).error;
    const same = "set the same LONGSHORE_VOLUMES for APIs and workers";
    expect(await job({ name: "out", at: "/data" })).toEqual({
      code: "volume_unavailable",
      message: `this worker has no volume out: ${same}`,
    });
    expect((await job({ name: "in", at: "/data", mode: "rw" }))?.message).toContain("may only read the volume in");
    expect(await job({ name: "in", at: "/etc/passwd" })).toEqual({
      code: "unusable_path",
      message: "the volumes at /etc/passwd cannot be mounted: what has to be a directory is none",
    });
  });

  it("does not start with one that cannot be mounted, or that users of the machine can reach and jobs write to", async () => {
    symlinkSync(directory, join(directory, "link"));
    await using worker = startWorker(
      `a=${directory}/missing,b=${directory}/readable/file,c=${directory}/link,d=/proc/tty,e=/opt:rw`,
    );
    await expect(worker.ready).rejects.toThrow("the worker ended before it took jobs");
    const { code, complaints } = await worker.exit;
    expect(code).toBe(1);
    const line = (name: string, fault: string) =>
      expect.stringMatching(new RegExp(`^longshore worker: LONGSHORE_VOLUMES: ${name} cannot be .*: ${fault}`));
    expect(complaints.trim().split("\n")).toEqual([
      line("a", "it does not exist"),
      line("b", "it is not a directory"),
      line("c", "a symlink is in its path"),
      line("d", "its file system cannot show files with other owners"),
      line("e", "users of this machine can reach it"),
    ]);
  });
});
