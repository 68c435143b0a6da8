import { mkdtempDisposable, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { saveOutputs } from "../../../services/cli/save-outputs.ts";

const sha256 = "0".repeat(64);
const client = { output: (_id: string, path: string) => Promise.resolve(new TextEncoder().encode(path)) };

describe("files that a job returned", () => {
  it("are put below the directory", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-cli-"));
    const outputs = [
      { path: "out/a.txt", bytes: 9, sha256 },
      { path: "gone", error: "no such file" },
    ];
    await saveOutputs(client, { id: "1", outputs }, directory.path);
    expect(await readFile(join(directory.path, "out/a.txt"), "utf8")).toBe("out/a.txt");
    expect(await readdir(directory.path)).toEqual(["out"]);
  });

  it("keep their names, of which no control character is printed", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-cli-"));
    const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const outputs = [
      { path: "a\nlongshore: fake", bytes: 1, sha256 },
      { path: "\u001b[2J\u009b", error: "no such file" },
    ];
    try {
      await saveOutputs(client, { id: "1", outputs }, directory.path);
      const lines = written.mock.calls.map(([line]) => String(line));
      expect(lines.map((line) => line.replace(/^.*?longshore:\S* /, "").replace(directory.path, ""))).toEqual([
        "saved /a\\x0alongshore: fake (1 bytes)\n",
        "\\x1b[2J\\x9b was not returned: no such file\n",
      ]);
    } finally {
      written.mockRestore();
    }
    expect(await readdir(directory.path)).toEqual(["a\nlongshore: fake"]);
  });

  it.each(["../evil", "/etc/passwd", "a/../../evil", ".."])("are refused outside of it: %s", async (path) => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-cli-"));
    await expect(
      saveOutputs(client, { id: "1", outputs: [{ path, bytes: 1, sha256 }] }, directory.path),
    ).rejects.toThrow("nothing is written there");
    expect(await readdir(directory.path)).toEqual([]);
  });
});
