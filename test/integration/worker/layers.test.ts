/** Blobs as layers of jobs: over real HTTP, through Redis, in containers. */
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunJob } from "../../../shared/job.ts";
import { startApi, type RunningApi } from "../../support/api.ts";
import type { DataDirectory } from "../../support/images.ts";
import { type Installation, startInstallation } from "../../support/installation.ts";
import type { RedisServer } from "../../support/redis.ts";
import { tarArchive, type TarFields } from "../../support/tar.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

let installation: Installation;
let redis: RedisServer;
let data: DataDirectory;
let api: RunningApi;

beforeAll(async () => {
  installation = await startInstallation(["bash", "c"], { LONGSHORE_SLOTS: "2", LONGSHORE_LAYER_BYTES: "1000000" });
  ({ redis, data, api } = installation);
});

afterAll(async () => {
  await installation[Symbol.asyncDispose]();
});

/** Puts a blob and returns its digest. */
async function put(content: Uint8Array, to = api): Promise<string> {
  const response = await to.fetch("/v1/blobs", { method: "PUT", body: new Uint8Array(content) });
  const { digest } = (await response.json()) as { digest: string };
  expect(digest).toBe(`sha256:${createHash("sha256").update(content).digest("hex")}`);
  return digest;
}

async function run(body: Record<string, unknown>, to = api): Promise<RunJob> {
  const response = await to.post(body, { wait: 60 });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as RunJob;
}

/** Runs a shell script with layers and returns what it printed. */
async function bash(source: string, layers: readonly { blob: string; at: string }[], to = api): Promise<string> {
  const job = await run({ language: "bash", source, layers }, to);
  expect(job).toMatchObject({ state: "done" });
  return `${job.result?.stdout.content}${job.result?.stderr.content}`;
}

/** Different each time, so that no test finds what another one has unpacked. */
let archives = 0;
const tar = (...entries: readonly TarFields[]): Buffer =>
  tarArchive(...entries, { name: `.archive-${process.pid}-${archives++}` });

describe("a job's layer", () => {
  it.each([
    ["as it is", (bytes: Buffer) => bytes],
    ["compressed with gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["compressed with zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
  ])("is a tar, %s, whose files are below a path", async (_, pack) => {
    const blob = await put(pack(tar({ name: "src/a.txt", content: "of the layer\n" })));
    expect(await bash("cat src/a.txt", [{ blob, at: "/work" }])).toBe("of the layer\n");
  });

  it("belongs to the job's user, whoever packed it, and can be written to; the layer stays as it is", async () => {
    // An id that no octal field takes: GNU tar writes it in a pax header.
    const stranger = { pax: { uid: "4000000000" } };
    const blob = await put(
      tar(
        { name: "./", type: "5", mode: 0o700, ...stranger },
        { name: "./d/", type: "5", mode: 0o755, uid: 0 },
        { name: "./d/a", content: "a\n", gid: 12, ...stranger },
      ),
    );
    const layers = [{ blob, at: "/data" }];
    const script = "stat -c '%n %u:%g %a' /data /data/d /data/d/a; echo b >>/data/d/a; rm -r /data/d && echo removed";
    const expected = "/data 1000:1000 700\n/data/d 1000:1000 755\n/data/d/a 1000:1000 644\nremoved\n";
    expect(await bash(script, layers)).toBe(expected);
    expect(await bash("cat /data/d/a", layers)).toBe("a\n");
  });

  it("leaves the directories above it as the image has them", async () => {
    const blob = await put(tar({ name: "a" }));
    const paths = "/tmp /usr /usr/local /usr/local/lib /home /var/tmp";
    const script = `stat -c '%n %u:%g %a' ${paths}`;
    const layers = ["/tmp/x", "/usr/local/lib/x", "/home/x", "/var/tmp/x/y"].map((at) => ({ blob, at }));
    const before = await bash(script, []);
    expect(before).toContain("/var/tmp 0:0 1777");
    expect(await bash(script, layers)).toBe(before);
    expect(
      await bash("ls /tmp/x/a /usr/local/lib/x/a /home/x/a /var/tmp/x/y/a; stat -c %u:%a /var/tmp/x", layers),
    ).toBe("/home/x/a\n/tmp/x/a\n/usr/local/lib/x/a\n/var/tmp/x/y/a\n0:755\n");
  });

  it("is stacked: files of the image stay where it has none, a later layer counts, whiteouts hide", async () => {
    const lower = await put(tar({ name: "a", content: "lower\n" }, { name: "b", content: "lower\n" }));
    const upper = await put(tar({ name: "a", content: "upper\n" }, { name: ".wh.b" }, { name: ".wh.issue" }));
    const layers = [lower, upper].map((blob) => ({ blob, at: "/etc" }));
    expect(await bash("cat /etc/a; ls /etc/b /etc/issue; ls /etc/passwd", layers)).toBe(
      "upper\n/etc/passwd\nls: cannot access '/etc/b': No such file or directory\n" +
        "ls: cannot access '/etc/issue': No such file or directory\n",
    );
  });

  it("follows the image's symbolic links within the image, and hides none", async () => {
    const blob = await put(tar({ name: "a", content: "found\n" }));
    // /lib is a link to usr/lib, without which nothing would run.
    expect(await bash("cat /usr/lib/x/a; readlink /lib", [{ blob, at: "/lib/x" }])).toBe("found\nusr/lib\n");
    // An absolute one: /var/run leads to /run.
    expect(await bash("cat /run/x/a; readlink /var/run", [{ blob, at: "/var/run/x" }])).toBe("found\n/run\n");
    // One that a layer below brings leads nowhere else, either.
    const link = await put(tar({ name: "out", type: "2", linkName: "../../../../../../srv" }));
    const layers = [
      { blob: link, at: "/data" },
      { blob, at: "/data/out/x" },
    ];
    expect(await bash("cat /srv/x/a; readlink /data/out", layers)).toBe("found\n../../../../../../srv\n");
  });

  it("may be at a path in any language", async () => {
    const blob = await put(tar({ name: "a", content: "found\n" }));
    expect(await bash("cat /größe/日本/a; stat -c %u /größe", [{ blob, at: "/größe/日本" }])).toBe("found\n0\n");
  });

  it("is there when a program is built and when it runs", async () => {
    const blob = await put(
      tar({ name: "include/answer.h", content: "#define ANSWER 42\n" }, { name: "in", content: "7" }),
    );
    const source = `#include <stdio.h>
      #include "include/answer.h"
      int main(void) { int n; return fscanf(fopen("in", "r"), "%d", &n) == 1 && printf("%d\\n", ANSWER + n) < 0; }`;
    const job = await run({ language: "c", source, layers: [{ blob, at: "/work" }] });
    expect(job.result).toMatchObject({ exitCode: 0, stdout: { content: "49\n" } });
  });

  it("can be read under a read-only root, but not written to", async () => {
    const blob = await put(tar({ name: "a", content: "a\n" }));
    const job = await run({
      language: "bash",
      source: "cat /data/a; echo b >/data/a",
      rootfs: "readonly",
      layers: [{ blob, at: "/data" }],
    });
    expect(job.result).toMatchObject({ exitCode: 1, stdout: { content: "a\n" } });
    expect(job.result?.stderr.content).toContain("Read-only file system");
  });

  it("is unpacked once for all jobs, each of which sees it untouched", async () => {
    const blob = await put(tar({ name: "a", content: "a\n" }));
    const script = "ls -i /data/a | cut -d' ' -f1; cat /data/a; echo changed >/data/a";
    const outputs = await Promise.all(Array.from({ length: 8 }, () => bash(script, [{ blob, at: "/data" }])));
    // The number of an inode is that of the file on disk.
    expect(new Set(outputs).size).toBe(1);
    expect(outputs[0]).toMatch(/^\d+\na\n$/);
  });
});

describe("a job fails at once", () => {
  const failing = async (blob: string, at = "/data", more = {}): Promise<RunJob["error"]> => {
    const job = await run({ language: "bash", source: "true", layers: [{ blob, at }], ...more });
    expect(job).toMatchObject({ state: "failed", attempt: 1 });
    return job.error;
  };

  it.each<[string, readonly TarFields[], string]>([
    ["leads up", [{ name: "../../outside" }], 'entry "../../outside": its path leads up with ..'],
    ["is absolute", [{ name: "/etc/passwd" }], 'entry "/etc/passwd": its path is absolute'],
    [
      "goes through its own link",
      [{ name: "up", type: "2", linkName: "../.." }, { name: "up/x" }],
      'entry "up/x": a directory in its path is a symlink',
    ],
    [
      "links out of it",
      [{ name: "x", type: "1", linkName: "../etc/passwd" }],
      'entry "x": its target cannot be: its path leads up with ..',
    ],
    ["makes its root a file", [{ name: ".", type: "0" }], 'entry ".": it is in the layer twice'],
    ["is a bomb", [{ name: "x", content: Buffer.alloc(1_000_001) }], "it is larger than 1000000 bytes unpacked"],
  ])("when its layer %s, and the next job runs", async (_, entries, reason) => {
    const blob = await put(gzipSync(tar(...entries)));
    expect(await failing(blob)).toEqual({
      code: "blob_refused",
      message: `blob ${blob} of the layer at /data is refused: ${reason}`,
    });
    expect(await bash("echo next", [])).toBe("next\n");
  });

  it("when its layer is no tar", async () => {
    expect(await failing(await put(Buffer.from("text")))).toMatchObject({ code: "blob_refused" });
    const damaged = gzipSync(tar({ name: "a" })).subarray(0, 50);
    expect(await failing(await put(damaged))).toMatchObject({ code: "blob_refused" });
  });

  it.each([
    ["/etc/passwd", "/etc/passwd is a file"],
    ["/etc/passwd/x", "/etc/passwd is not a directory"],
  ])("when its layer cannot be at %s", async (at, reason) => {
    const blob = await put(tar({ name: "a" }));
    expect(await failing(blob, at)).toEqual({
      code: "unusable_path",
      message: `blob ${blob} cannot be at ${at}: ${reason}`,
    });
  });

  it("when a link of a layer leads its layer to where nobody would see it", async () => {
    const link = await put(
      tar({ name: "p", type: "2", linkName: "/proc" }, { name: "w", type: "2", linkName: "/work" }),
    );
    const blob = await put(tar({ name: "a" }));
    const layers = (at: string) => ({
      layers: [
        { blob: link, at: "/data" },
        { blob, at },
      ],
    });
    expect(await failing("", "", layers("/data/p/x"))).toMatchObject({
      code: "unusable_path",
      message: expect.stringMatching(/which is \/proc\/x in this image: it is at or below \/proc/),
    });
    expect(await failing("", "", { ...layers("/data/w/x"), rootfs: "readonly" })).toMatchObject({
      code: "unusable_path",
      message: expect.stringMatching(/which is \/work\/x in this image: it is covered/),
    });
  });

  it("when its blob has gone since it was posted", async () => {
    const blob = await put(tar({ name: "a" }));
    await api.api.blobs.storage.remove?.(blob as `sha256:${string}`);
    expect(await failing(blob)).toEqual({
      code: "blob_unavailable",
      message:
        `blob ${blob} of the layer at /data is gone: it has expired or was deleted, ` +
        "or LONGSHORE_BLOBS of this worker is not the API's",
    });
  });
});

it.each([
  ["/", "is the root: name a directory below it"],
  ["/proc/x", "is at or below /proc, /sys or /dev, which are not for files"],
  ["work", "is not absolute"],
  ["/a/../b", "has .. as a component"],
])("a layer at %s is refused before it is a job", async (at, message) => {
  const blob = await put(tar({ name: "a" }));
  const response = await api.post({ language: "bash", source: "true", layers: [{ blob, at }] });
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: { code: "invalid_request", details: [{ path: "layers[0].at", message }] } },
  ]);
});

describe("a worker without the API's directory", () => {
  let elsewhere: string;
  let other: WorkerProcess;
  let others: RunningApi;
  beforeAll(async () => {
    elsewhere = await mkdtemp(join(tmpdir(), "longshore-elsewhere-"));
    const common = { REDIS_URL: redis.url, LONGSHORE_QUEUE: "elsewhere" };
    others = await startApi(redis.url, { LONGSHORE_QUEUE: "elsewhere", LONGSHORE_DATA: elsewhere });
    other = startWorkerProcess({
      ...common,
      LONGSHORE_DATA: data.path,
      LONGSHORE_SLOTS: "1",
      LONGSHORE_BLOBS: others.url,
    });
    await other.ready;
  });
  afterAll(async () => {
    await other[Symbol.asyncDispose]();
    await others[Symbol.asyncDispose]();
    await rm(elsewhere, { recursive: true });
  });

  it("fetches blobs from the API, and leaves large files there", async () => {
    const blob = await put(tar({ name: "a", content: "from afar\n" }), others);
    const source = "cat a; head -c 3000000 /dev/zero >large";
    const job = await run({ language: "bash", source, layers: [{ blob, at: "/work" }], outputs: ["large"] }, others);
    expect(job.result?.stdout.content).toBe("from afar\n");
    const response = await others.fetch(`/v1/jobs/${job.id}/outputs/large`);
    expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.alloc(3_000_000))).toBe(true);
  });

  it("says when a blob is not there", async () => {
    const blob = await put(tar({ name: "a" }), others);
    await others.api.blobs.storage.remove?.(blob as `sha256:${string}`);
    const job = await run({ language: "bash", source: "true", layers: [{ blob, at: "/work" }] }, others);
    expect(job).toMatchObject({ state: "failed", attempt: 1, error: { code: "blob_unavailable" } });
  });

  it("takes nothing for a blob whose bytes are others", async () => {
    const blob = await put(tar({ name: "a" }), others);
    const wrong = tar({ name: "b", content: "exchanged" });
    await writeFile(join(elsewhere, "blobs/sha256", blob.slice("sha256:".length)), wrong);
    const job = await run({ language: "bash", source: "true", layers: [{ blob, at: "/work" }] }, others);
    expect(job).toMatchObject({ state: "failed", error: { code: "blob_unavailable" } });
    expect(job.error?.message).toMatch(/has the digest sha256:[0-9a-f]{64}: it was damaged or exchanged$/);
  });

  it.each(["GET", "HEAD", "PUT"])("is the only one that may: %s needs its signature", async (method) => {
    const blob = await put(tar({ name: "a" }), others);
    const init = { method, ...(method === "PUT" && { body: "content" }) };
    for (const authorization of ["", "Bearer x", `Longshore 99999999999.${"0".repeat(64)}`]) {
      const response = await others.fetch(`/internal/blobs/${blob}`, { ...init, headers: { authorization } });
      expect(response.status).toBe(401);
    }
  });
});
