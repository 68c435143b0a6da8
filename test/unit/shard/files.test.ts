import { access, mkdtempDisposable, open, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTail } from "../../../worker/jobs/shard/log-tail.ts";
import { PartFiles } from "../../../worker/jobs/shard/part-files.ts";

test("files are below their shard, and those of further commands below these", () => {
  const files = new PartFiles({ directory: "/none", bytesMax: 100 });
  const content = Buffer.from("x");
  files.addOutput({ shard: 2, run: 1 }, { path: "a/b", content, sha256: "" });
  files.addOutput({ shard: 2, run: 1 }, { path: "/out/c", content, sha256: "" });
  files.addOutput({ shard: 2, run: 3 }, { path: "a/b", content, sha256: "" });
  expect(files.returned.map(({ path }) => path)).toEqual(["shard-2/a/b", "shard-2/out/c", "shard-2/run-3/a/b"]);
});

test("a path is given once, as a file of the root may be called like one that is relative", () => {
  const files = new PartFiles({ directory: "/none", bytesMax: 100 });
  for (const path of ["out/a", "/out/a"]) {
    files.addOutput({ shard: 1, run: 1 }, { path, content: Buffer.from(path), sha256: "" });
  }
  expect(files.returned).toHaveLength(1);
  expect(files.missing).toEqual([{ path: "shard-1/out/a", error: "another file has this path already" }]);
});

test("what has been returned takes room of what comes", async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-files-"));
  const files = new PartFiles({ directory: directory.path, bytesMax: 100 });
  const log = join(directory.path, "log");
  await writeFile(log, "");
  await files.addLog({ shard: 1, run: 1 }, log, 60);
  files.addOutput({ shard: 1, run: 1 }, { path: "a", file: "f", bytes: 30, sha256: "" });
  expect(files.spool.bytesMax).toBe(10);
  await files.addLog({ shard: 1, run: 2 }, log, 11);
  expect(files.missing.map(({ path }) => path)).toEqual(["logs/shard-1.run-2.log"]);
  await expect(access(log)).rejects.toThrow("ENOENT");
});

test("there are no more files than can be listed", () => {
  const files = new PartFiles({ directory: "/none", bytesMax: 100 });
  for (let n = 0; n < 2000; n++) {
    files.addOutput({ shard: 1, run: 1 }, { path: String(n), content: Buffer.of(), sha256: "" });
  }
  expect([files.returned.length, files.missing.length]).toEqual([1000, 100]);
});

test("there are no longer paths than can be listed", () => {
  const files = new PartFiles({ directory: "/none", bytesMax: 100 });
  const deep = `${"d".repeat(255)}/`.repeat(15);
  for (let n = 0; n < 1000; n++) {
    files.addOutput({ shard: 1, run: 1 }, { path: `${deep}${n}`, content: Buffer.of(), sha256: "" });
  }
  const listed = files.returned.reduce((sum, { path }) => sum + path.length, 0);
  expect(listed).toBeLessThanOrEqual(256 * 1024);
  expect(files.returned.length).toBeGreaterThan(50);
  expect(files.missing).toHaveLength(100);
});

test.each([
  ["ends", 100, "ends", false],
  ["a long one", 3, "one", true],
  ["ääää", 4, "ää", true],
  ["ääää", 3, "ä", true],
  ["x😀😀", 7, "😀", true],
  ["", 10, "", false],
])("the tail of %j is what fits in %d bytes, in whole characters", async (text, bytes, tail, truncated) => {
  await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-tail-"));
  const path = join(directory.path, "log");
  await writeFile(path, text);
  await using file = await open(path);
  expect(await readTail(file, bytes)).toMatchObject({
    tail: { content: tail, encoding: "utf8", truncated },
    bytes: Buffer.byteLength(text),
  });
});
