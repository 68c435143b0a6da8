import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileLock } from "../../../worker/images/lock.ts";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-lock-"));
  path = join(directory, "one.lock");
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe("a file lock", () => {
  it("has one holder at a time, and the next when that one lets go", async () => {
    {
      await using held = await FileLock.acquire(path);
      expect(held).toBeDefined();
      expect(await FileLock.tryAcquire(path)).toBeUndefined();
    }
    await using next = await FileLock.tryAcquire(path);
    expect(next).toBeDefined();
  });

  it("is waited for", async () => {
    const order: string[] = [];
    const first = await FileLock.acquire(path);
    const waiting = FileLock.acquire(path).then((lock) => (order.push("second holds"), lock));
    expect(await FileLock.tryAcquire(path)).toBeUndefined();
    order.push("first lets go");
    await first[Symbol.asyncDispose]();
    await (await waiting)[Symbol.asyncDispose]();
    expect(order).toEqual(["first lets go", "second holds"]);
  });

  it("stops being waited for when that is aborted", async () => {
    await using _held = await FileLock.acquire(path);
    const controller = new AbortController();
    const waiting = FileLock.acquire(path, controller.signal);
    controller.abort();
    await expect(waiting).rejects.toThrow(/abort/);
  });

  it("is let go by the kernel when its holder is killed", async () => {
    const source = `
      import { FileLock } from ${JSON.stringify(join(import.meta.dirname, "../../../worker/images/lock.ts"))};
      globalThis.lock = await FileLock.acquire(${JSON.stringify(path)});
      console.log("held");
      setInterval(() => {}, 1000);
    `;
    const holder = spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    expect(await FileLock.tryAcquire(path)).toBeUndefined();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await using next = await FileLock.tryAcquire(path);
    expect(next).toBeDefined();
  });
});
