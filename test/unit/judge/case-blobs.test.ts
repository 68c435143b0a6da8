import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { digestOf, hexOf } from "../../../worker/images/digest.ts";
import { CaseBlobs } from "../../../worker/jobs/judge/case-blobs.ts";

const never = new AbortController().signal;

/** Blobs of cases in a directory of their own, and who takes them. */
async function open(bytesMax = 1_000_000) {
  const directory = await mkdtempDisposable(join(tmpdir(), "longshore-cases-"));
  const kept = join(directory.path, "kept");
  const blobs = await CaseBlobs.open(kept, bytesMax);
  const fetched: string[] = [];
  let users = 0;
  return {
    fetched,
    kept,
    reopen: (bytes: number) => CaseBlobs.open(kept, bytes),
    blobs,
    /** Takes the blob with this content; `fetch` is what is done when it has to be fetched. */
    async take(content: string, fetch: () => Promise<void> = () => Promise.resolve(), signal = never) {
      const path = join(directory.path, String(users++));
      const put = async () => {
        fetched.push(content);
        await fetch();
        await writeFile(path, content);
      };
      await blobs.take(digestOf(content), path, put, signal);
      expect(await readFile(path, "utf8")).toBe(content);
      return path;
    },
    [Symbol.asyncDispose]: () => directory.remove(),
  };
}

describe("blobs of cases", () => {
  it("are fetched once, for users one after the other and at the same time", async () => {
    await using cases = await open();
    await Promise.all(["a", "b", "a", "a"].map((content) => cases.take(content)));
    await cases.take("a");
    expect(cases.fetched.toSorted((one, other) => (one < other ? -1 : 1))).toEqual(["a", "b"]);
  });

  it("are fetched by the next one who waits, where the first one fails or is stopped", async () => {
    await using cases = await open();
    const begun = Promise.withResolvers<void>();
    const broken = Promise.withResolvers<void>();
    const first = cases.take("a", () => {
      begun.resolve();
      return broken.promise;
    });
    await begun.promise;
    const second = cases.take("a");
    const impatient = new AbortController();
    const third = cases.take("a", () => Promise.resolve(), impatient.signal);
    impatient.abort(new Error("canceled"));
    await expect(third).rejects.toThrow("canceled");
    broken.reject(new Error("the storage is away"));
    await expect(first).rejects.toThrow("the storage is away");
    await second;
    expect(cases.fetched).toEqual(["a", "a"]);
  });

  it("take no more than they may, without those that were not used for longest, and stay for those who have them", async () => {
    await using cases = await open(250);
    const [old, used, late] = ["old", "used", "late"].map((name) => name.padEnd(100, name));
    const path = await cases.take(old ?? "");
    await cases.take(used ?? "");
    // Their order is told by the clock of the file system, which has a tick of some milliseconds.
    const tick = async (name: string) => {
      const before = statSync(join(cases.kept, hexOf(digestOf(name)))).ctimeMs;
      do await cases.take(used ?? "");
      while (statSync(join(cases.kept, hexOf(digestOf(used ?? "")))).ctimeMs <= before);
    };
    await tick(old ?? "");
    await cases.take(late ?? "");
    expect(readdirSync(cases.kept)).toHaveLength(2);
    expect(existsSync(join(cases.kept, hexOf(digestOf(old ?? ""))))).toBe(false);
    expect(await readFile(path, "utf8")).toBe(old);
    await cases.take(used ?? "");
    expect(cases.fetched).toEqual([old, used, late]);
  });

  it("larger than all of them may be are used nevertheless, and not kept", async () => {
    await using cases = await open(10);
    await cases.take("more than ten bytes");
    expect(readdirSync(cases.kept)).toEqual([]);
  });

  it("go when they have not been used for long, or are too many for a smaller limit", async () => {
    await using cases = await open();
    await cases.take("a");
    expect(await cases.blobs.removeUnused(new Date(Date.now() - 60_000))).toBe(0);
    expect(await cases.blobs.removeUnused(new Date(Date.now() + 60_000))).toBe(1);
    await cases.take("a");
    expect(cases.fetched).toEqual(["a", "a"]);
    await cases.reopen(0);
    expect(readdirSync(cases.kept)).toEqual([]);
  });
});
