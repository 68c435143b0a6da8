import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { walkDirectory } from "../../../services/cli/directory-tree.ts";

/** Paths below a directory that has these files; directories end in a slash. */
async function pathsOf(
  files: Readonly<Record<string, string>>,
  ignoreFiles: "honoured" | "unknown",
): Promise<string[]> {
  await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-tree-"));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(directory.path, dirname(path)), { recursive: true });
    await writeFile(join(directory.path, path), content);
  }
  const paths: string[] = [];
  for await (const { path, status } of walkDirectory(directory.path, {
    ignoreFiles,
    without: join(directory.path, "outputs"),
  })) {
    paths.push(status.isDirectory() ? `${path}/` : path);
  }
  return paths;
}

describe("a directory's tree", () => {
  it("is walked in the order of names, each directory before what it has", async () => {
    const files = { "b/2": "", "b/1": "", a: "", ".git/config": "", ".gitignore": "a" };
    const expected = [".git/", ".git/config", ".gitignore", "a", "b/", "b/1", "b/2"];
    expect(await pathsOf(files, "unknown")).toEqual(expected);
  });
});

describe("a checkout's tree", () => {
  it("has nothing that .gitignore names, and nothing of git's own", async () => {
    const files = {
      ".git/config": "",
      ".gitignore": "node_modules/\n*.log\n!keep.log\n/dist\n",
      "node_modules/x/index.js": "",
      "debug.log": "",
      "keep.log": "",
      "dist/out.js": "",
      "src/dist/in.js": "",
      "Debug.LOG": "",
      "outputs/of-the-last-time.txt": "",
      "module/.git": "gitdir: elsewhere",
      "module/code.py": "",
    };
    expect(await pathsOf(files, "honoured")).toEqual([
      ".gitignore",
      "Debug.LOG",
      "keep.log",
      "module/",
      "module/code.py",
      "src/",
      "src/dist/",
      "src/dist/in.js",
    ]);
  });

  it("obeys the ignore files of directories, for what is below them, the deepest first", async () => {
    const files = {
      ".gitignore": "*.tmp\n",
      "a/.gitignore": "!kept.tmp\nlocal\n",
      "a/kept.tmp": "",
      "a/other.tmp": "",
      "a/local": "",
      "b/kept.tmp": "",
      "b/local": "",
    };
    expect(await pathsOf(files, "honoured")).toEqual([
      ".gitignore",
      "a/",
      "a/.gitignore",
      "a/kept.tmp",
      "b/",
      "b/local",
    ]);
  });

  it("has directories that a deeper ignore file takes back, with what is in them", async () => {
    const files = { ".gitignore": "build/\n", "a/.gitignore": "!build/\n", "a/build/x": "", "b/build/x": "" };
    expect(await pathsOf(files, "honoured")).toEqual([
      ".gitignore",
      "a/",
      "a/.gitignore",
      "a/build/",
      "a/build/x",
      "b/",
    ]);
  });

  it("has what .longshoreignore takes back, and lacks what it adds", async () => {
    const files = {
      ".gitignore": "node_modules/\n",
      ".longshoreignore": "!node_modules/\nnode_modules/.cache/\ndocs\n",
      "node_modules/x/index.js": "",
      "node_modules/.cache/y": "",
      "docs/page.md": "",
    };
    expect(await pathsOf(files, "honoured")).toEqual([
      ".gitignore",
      ".longshoreignore",
      "node_modules/",
      "node_modules/x/",
      "node_modules/x/index.js",
    ]);
  });
});
