/** How much memory a process takes to add layers that are larger than any memory it should take. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Compression, MediaType } from "../../../worker/images/oci.ts";
import { tarEntry } from "../../support/tar.ts";

const MEBIBYTE = 1024 * 1024;

/** Several times what a process may grow by. */
const LARGE_MEBIBYTES = 320;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-memory-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** A layer in a file, made by this process: the memory that it takes to make it is not the other one's. */
interface LayerFile {
  readonly path: string;
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly diffId: string;
  /** Of the uncompressed tar. */
  readonly bytes: number;
}

const COMPRESSOR = {
  none: () => new PassThrough(),
  gzip: () => createGzip({ level: 1 }),
  zstd: () => createZstdCompress(),
} satisfies Record<Compression, () => PassThrough | ReturnType<typeof createGzip>>;

async function makeLayer(name: string, compression: Compression, tar: Iterable<Buffer>): Promise<LayerFile> {
  const path = join(directory, name);
  const [plain, compressed] = [createHash("sha256"), createHash("sha256")];
  let [bytes, size] = [0, 0];
  const measured = function* () {
    for (const piece of tar) {
      plain.update(piece);
      bytes += piece.length;
      yield piece;
    }
  };
  const measure = async function* (pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      compressed.update(piece);
      size += piece.length;
      yield piece;
    }
  };
  await pipeline(Readable.from(measured()), COMPRESSOR[compression](), measure, createWriteStream(path));
  const mediaType = MediaType.layer + (compression === "none" ? "" : `+${compression}`);
  const [digest, diffId] = [`sha256:${compressed.digest("hex")}`, `sha256:${plain.digest("hex")}`];
  return { path, mediaType, digest, size, diffId, bytes };
}

/** A file that is larger than all that may be kept; a quarter of it is noise. */
function* largeFile(): Generator<Buffer> {
  yield tarEntry({ name: "large", size: LARGE_MEBIBYTES * MEBIBYTE });
  for (let index = 0; index < LARGE_MEBIBYTES; index++) {
    const piece = Buffer.alloc(MEBIBYTE);
    randomBytes(MEBIBYTE / 4).copy(piece);
    yield piece;
  }
}

function* manyFiles(): Generator<Buffer> {
  const content = "x".repeat(2000);
  for (let index = 0; index < 60_000; index++) {
    const folder = `folder-${Math.floor(index / 300)}`;
    if (index % 300 === 0) yield tarEntry({ name: `${folder}/`, type: "5" });
    yield tarEntry({ name: `${folder}/file-${index}`, content });
  }
}

/**
 * Adds layers, one after the other, in a process of its own.
 * @returns how much its resident memory grew at most while it added the last one, in bytes
 */
async function growthOf(layers: readonly LayerFile[], open: string): Promise<number> {
  const store = await mkdtemp(join(directory, "store-"));
  const from = (path: string): string => JSON.stringify(join(import.meta.dirname, "../../..", path));
  const child = spawn(
    process.execPath,
    [
      "--input-type=module-typescript",
      "--eval",
      `
        import { createReadStream } from "node:fs";
        import { readFile, writeFile } from "node:fs/promises";
        import { ImageStore } from ${from("worker/images/store.ts")};
        const status = async (field) => Number(new RegExp(field + ":\\\\s+(\\\\d+)").exec(await readFile("/proc/self/status", "utf8"))[1]);
        const store = await ImageStore.open(${JSON.stringify(store)});
        let [before, added] = [0, 0];
        for (const { path, diffId, bytes, ...descriptor } of ${JSON.stringify(layers)}) {
          // proc_pid_status(5): the peak begins anew.
          await writeFile("/proc/self/clear_refs", "5");
          before = await status("VmRSS");
          await using addition = await store.beginAddition();
          added = (await addition.addLayer({ descriptor, diffId, open: ${open} })).bytes;
        }
        console.log(JSON.stringify({ added, grownBytes: (await status("VmHWM") - before) * 1024 }));
      `,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const { added, grownBytes } = JSON.parse((await buffer(child.stdout)).toString()) as Record<string, number>;
  await rm(store, { recursive: true });
  expect(added).toBe(layers.at(-1)?.bytes);
  return grownBytes ?? Number.NaN;
}

describe("a process that has never added a layer", { timeout: 180_000 }, () => {
  const open = "() => createReadStream(path)";

  it.each(["gzip", "zstd", "none"] as const)(
    "adds one of hundreds of megabytes (%s) with less than 64 MiB",
    async (compression) => {
      const layer = await makeLayer("large", compression, largeFile());
      expect(await growthOf([layer], open)).toBeLessThan(64 * MEBIBYTE);
    },
  );

  it("adds one of 60,000 files with less than 64 MiB", async () => {
    const layer = await makeLayer("many", "gzip", manyFiles());
    expect(await growthOf([layer], open)).toBeLessThan(64 * MEBIBYTE);
  });
});

describe("a process that has pulled a small layer", { timeout: 180_000 }, () => {
  it("pulls one of hundreds of megabytes with less than 64 MiB", async () => {
    const layers = [
      await makeLayer("small", "gzip", [tarEntry({ name: "small" })]),
      await makeLayer("large", "zstd", largeFile()),
    ];
    const server = createServer((request, response) => {
      void pipeline(createReadStream(join(directory, request.url ?? "")), response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      const open = `async () => (await fetch("http://127.0.0.1:${port}/" + path.split("/").at(-1))).body`;
      expect(await growthOf(layers, open)).toBeLessThan(64 * MEBIBYTE);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
