import { createHash } from "node:crypto";
import { mkdir, mkdtempDisposable, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collectOutputs } from "../../../worker/container/slot/collect.ts";
import type { InputFile } from "../../../worker/container/spec.ts";
import { MiB, TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open();
});
afterAll(() => slot[Symbol.asyncDispose]());

function file(path: string, content: string, executable = false): InputFile {
  return { path, content: Buffer.from(content), executable };
}

describe("files given to a container", () => {
  it("are in its working directory, owned by its user, executable where asked for", async () => {
    const files = [file("data/deep/in.txt", "input"), file("run.sh", "#!/bin/bash\ncat data/deep/in.txt", true)];
    const result = await slot.bash("./run.sh; stat -c ' %a %u %g' run.sh data/deep data/deep/in.txt", { files });
    expect(text(result.stdout)).toBe("input 755 1000 1000\n 755 1000 1000\n 644 1000 1000\n");
  });

  it("replace those of the image, in this container only", async () => {
    const changed = { files: [file("issue", "mine")], workingDirectory: "/etc" };
    expect(text((await slot.bash("cat /etc/issue", changed)).stdout)).toBe("mine");
    expect(text((await slot.bash("cat /etc/issue")).stdout)).toContain("Debian");
  });

  it("go into a working directory that is made for them", async () => {
    const changes = { files: [file("a", "x")], workingDirectory: "/opt/some/where" };
    expect(text((await slot.bash("pwd; cat a; touch b", changes)).stdout)).toBe("/opt/some/where\nx");
  });

  it.each(["writable", "readonly"] as const)("can be written beside on a %s root", async (rootfs) => {
    const result = await slot.bash("cat in > out && cat out", { rootfs, files: [file("in", "text")] });
    expect(text(result.stdout)).toBe("text");
  });

  it("are handed over as stdin, which ends where they end", async () => {
    const stdin = Buffer.from("line\n".repeat(100_000));
    expect(text((await slot.bash("wc -c", { stdin })).stdout)).toBe("500000\n");
    expect(text((await slot.bash("cat; echo end")).stdout)).toBe("end\n");
    expect(text((await slot.bash("head -c 4 /dev/stdin", { stdin })).stdout)).toBe("line");
  });
});

describe("directories that a container is given", () => {
  it("are its user's, made where they are missing, and those of the image otherwise", async () => {
    const directories = ["/out", "/srv/some/where", "/tmp"];
    const result = await slot.bash("touch /out/a /srv/some/where/b; stat -c '%n %a %u' /out /srv/some/where", {
      directories,
    });
    expect(text(result.stdout)).toBe("/out 755 1000\n/srv/some/where 755 1000\n");
    expect(text(result.stderr)).toBe("");
  });
});

describe("files returned from a container", () => {
  it("may be anywhere in it, by patterns that begin at its root", async () => {
    const outputs = ["here", "/out/*.xml", "/etc/hostname-of-nobody", "/var/link/*"];
    const script = "echo a > here; echo b > /out/b.xml; echo c > /out/c.txt; ln -s /etc /out/d.xml";
    const result = await slot.bash(script, { outputs, directories: ["/out"] });
    expect(result.outputs.map((output) => ("error" in output ? [output.path, output.error] : output.path))).toEqual([
      ["/etc/hostname-of-nobody", "no such file"],
      "/out/b.xml",
      ["/out/d.xml", "a symbolic link is not a regular file"],
      "here",
    ]);
  });

  it("come from the root first, so that many in the working directory leave no report out", async () => {
    const script = "echo report > /out/a.xml; for n in {1..300}; do echo > $n; done";
    const result = await slot.bash(script, { outputs: ["*", "/out/*.xml"], directories: ["/out"] });
    expect(result.outputs[0]).toMatchObject({ path: "/out/a.xml", sha256: expect.any(String) });
    expect(result.outputs).toHaveLength(257);
  });

  it("are those named, and those that match a glob, with their digest", async () => {
    const outputs = ["result.json", "out/*.xml"];
    const script = "echo '{}' > result.json; mkdir out; echo a > out/a.xml; echo b > out/b.xml; echo c > out/c.txt";
    const result = await slot.bash(script, { outputs });
    expect(result.outputs.map(({ path }) => path)).toEqual(["result.json", "out/a.xml", "out/b.xml"]);
    const [first] = result.outputs;
    if (first === undefined || !("content" in first)) throw new Error("the first file was not collected");
    expect(Buffer.from(first.content).toString()).toBe("{}\n");
    expect(first.sha256).toBe(createHash("sha256").update("{}\n").digest("hex"));
  });

  it.each(["writable", "readonly"] as const)("come from a %s root", async (rootfs) => {
    const result = await slot.bash("echo here > f", { rootfs, outputs: ["f"] });
    expect(result.outputs).toEqual([
      expect.objectContaining({ path: "f", content: new Uint8Array(Buffer.from("here\n")) }),
    ]);
  });

  it.each([
    ["is missing", "true", "no such file"],
    ["is a fifo", "mkfifo f", "a fifo is not a regular file"],
    ["is a directory", "mkdir f", "a directory is not a regular file"],
    ["is a symbolic link", "ln -s /etc/passwd f", "a symbolic link is not a regular file"],
    [
      "is a socket",
      "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"f\")'",
      "a socket is not a regular file",
    ],
    ["is too large, though sparse", "truncate -s 30M f", /^31457280 bytes are more than/],
  ])("leave out, with the reason, one that %s", async (_, script, error) => {
    const result = await slot.bash(script, { outputs: ["f"] });
    const [output] = result.outputs;
    expect(output).toEqual({ path: "f", error: typeof error === "string" ? error : expect.stringMatching(error) });
  });

  it("are not found through a directory that is a symbolic link", async () => {
    const result = await slot.bash("ln -s /etc d", { outputs: ["d/passwd", "d/*", "**/passwd"] });
    expect(result.outputs.filter((output) => "content" in output)).toEqual([]);
    expect(result.outputs[0]).toEqual({ path: "d/passwd", error: "a symbolic link is not a regular file" });
  });

  it("are still found when the working directory was replaced by a link to the host's root", async () => {
    const result = await slot.bash("cd /; rm -rf /work/* && ln -s /proc/1/root /work/up", {
      outputs: ["up/etc/shadow"],
    });
    expect(result.outputs[0]).toHaveProperty("error");
  });

  it("are limited in number", async () => {
    const result = await slot.bash("touch $(seq 300)", { outputs: ["*"] });
    expect(result.outputs).toHaveLength(257);
    expect(result.outputs.at(-1)).toHaveProperty("error", "more than 256 files: the rest is left out");
  });
});

describe("files with names and in trees that nobody expects", () => {
  /** What was found by all patterns: path, and content or error. */
  async function collected(program: string, outputs: readonly string[]): Promise<[string, string][]> {
    const result = await slot.python(program, { outputs });
    expect(text(result.stderr)).toBe("");
    return result.outputs.map((output) => {
      if ("file" in output) throw new Error("there is no spool");
      return [output.path, "content" in output ? Buffer.from(output.content).toString() : output.error];
    });
  }

  it("come back when their names hold newlines, escape sequences and wildcards", async () => {
    const names = ["a\nb", "\u001b[2J", "*", "[x]", ".hidden"];
    const program = `for name in ${JSON.stringify(names)}: open(name, "w").write("content")`;
    expect(await collected(program, ["*"])).toEqual(names.toSorted().map((name) => [name, "content"]));
    expect(await collected(program, ["[*]", "[[]x]", "a\n?"])).toEqual([
      ["*", "content"],
      ["[x]", "content"],
      ["a\nb", "content"],
    ]);
  });

  it("are reported when their names are not valid UTF-8, and so are directories, beside those that are", async () => {
    const program = `import os
open(b"f\\xff", "w").write("x"); open("g", "w").write("good")
os.mkdir(b"d\\xfe"); open(b"d\\xfe/h", "w").write("x")`;
    const error = "the path is not valid utf-8: name it otherwise";
    expect(await collected(program, ["**"])).toEqual([
      ["d\ufffd", error],
      ["f\ufffd", error],
      ["g", "good"],
    ]);
  });

  it("are found in a deep tree as far as a path may go, and what is deeper is reported", async () => {
    const program = `import os
for depth in range(1, 1001):
    os.mkdir("d"); os.chdir("d")
    if depth in (63, 64, 1000): open("f", "w").write(str(depth))`;
    const error = "the path has more than 64 components: name it otherwise";
    expect(await collected(program, ["**/f"])).toEqual([
      [`${"d/".repeat(64)}d`, error],
      [`${"d/".repeat(64)}f`, error],
      [`${"d/".repeat(63)}f`, "63"],
    ]);
  });

  it("are reported where their paths get too long to be asked for", async () => {
    const program = `import os
for depth in range(20):
    os.mkdir("d" * 250); os.chdir("d" * 250)`;
    const path = `${"d".repeat(250)}/`.repeat(17).slice(0, -1);
    const error = "the path is longer than 4096 bytes: name it otherwise";
    expect(await collected(program, ["**/f"])).toEqual([[path, error]]);
  });

  it("are not looked for where no pattern can match: what a walk would end at is not met", async () => {
    const program = `import os
os.mkdir("many"); os.mkdir("out"); open("out/a.xml", "w").write("a")
for n in range(100_001): os.symlink("x", f"many/{n}")`;
    const limits = { memoryBytes: 512 * MiB, diskBytes: 512 * MiB, cpuTimeMs: 150_000, wallTimeMs: 150_000 };
    const there = await slot.python(program, { outputs: ["out/*.xml"], limits });
    expect(there).toMatchObject({ exitCode: 0 });
    expect(there.outputs).toEqual([expect.objectContaining({ path: "out/a.xml", content: expect.any(Uint8Array) })]);
    const everywhere = await slot.python(program, { outputs: ["**/*.xml"], limits });
    expect(everywhere.outputs).toEqual([{ path: "many", error: "more than 100000 entries: the rest is left out" }]);
  });

  it("cannot keep a slot busy with patterns that take long to match", async () => {
    const program = `for n in range(2000): open(f"{n:04}" + "a" * 250, "w")`;
    const outputs = Array.from({ length: 64 }, (_, n) => `*${"a".repeat(100)}${"?".repeat(n)}b`);
    const result = await slot.python(program, { outputs, limits: { memoryBytes: 256 * MiB } });
    expect(result.outputs).toEqual([{ path: ".", error: "the patterns take too long to match: the rest is left out" }]);
  });

  it("are none that the program could not read itself, and all that it could", async () => {
    const script = `cat shadow secret/file 2>&1; mkdir -m 700 closed; echo x > closed/file; chmod 000 closed
echo mine > mine; echo unreadable > unreadable; chmod 200 unreadable; id -G`;
    const outputs = ["shadow", "gshadow", "passwd", "mine", "unreadable", "closed/*", "/etc/shadow", "/root/*"];
    const user = { uid: 1000, gid: 1000, groups: [50] };
    const result = await slot.bash(`cd /work && ${script}`, { outputs, workingDirectory: "/work", user });
    expect(result.outputs.map((output) => [output.path, "error" in output ? output.error : "returned"])).toEqual([
      ["/etc/shadow", "cannot be opened: EACCES"],
      ["/root", "cannot be opened: EACCES"],
      ["shadow", "no such file"],
      ["gshadow", "no such file"],
      ["passwd", "no such file"],
      ["mine", "returned"],
      ["unreadable", "cannot be opened: EACCES"],
      ["closed", "cannot be opened: EACCES"],
    ]);
    const inEtc = await slot.bash("cat shadow", { outputs: ["shadow", "passwd"], workingDirectory: "/etc", user });
    expect(inEtc.exitCode).toBe(1);
    expect(inEtc.outputs).toEqual([
      { path: "shadow", error: "cannot be opened: EACCES" },
      { path: "passwd", content: expect.any(Uint8Array), sha256: expect.any(String) },
    ]);
    const shared = { ...user, groups: [42] };
    const asGroup = await slot.bash("cat /etc/shadow", { outputs: ["/etc/shadow"], user: shared });
    expect([asGroup.exitCode, asGroup.outputs[0]]).toMatchObject([0, { content: expect.any(Uint8Array) }]);
  });

  it("are not looked for any more as soon as the job is canceled", async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-outputs-"));
    await using root = await open(directory.path);
    for (let count = 0; count < 10; count++) await mkdir(join(directory.path, `d${count}`));
    let asked = 0;
    const rights = { uid: 0, gid: 0, groups: [] };
    const tree = { base: root.fd, path: "", root: root.fd, rights };
    const outputs = collectOutputs(tree, ["named", "*/*"], () => ++asked > 5);
    expect(outputs).toEqual([
      { path: "named", error: "no such file" },
      { path: ".", error: "the job was canceled: the rest is left out" },
    ]);
    expect(asked).toBeLessThan(10);
  });

  it("are an error where a pattern is none", async () => {
    const [output] = (await slot.bash("true", { outputs: ["{1..100000}"] })).outputs;
    expect(output).toEqual({ path: "{1..100000}", error: expect.stringContaining("the pattern has {") });
  });
});

describe("a kept layer", () => {
  it("is read-only below the next container, which starts clean", async () => {
    await slot.bash("echo built > program; echo scratch > /tmp/scratch", { keepLayerAs: "build" });
    const layers = [...slot.layers, { kind: "kept", name: "build" } as const];
    const first = await slot.bash("cat program; echo changed > program; ls /tmp", { layers });
    expect(text(first.stdout)).toBe("built\nscratch\n");
    expect(text((await slot.bash("cat program", { layers })).stdout)).toBe("built\n");
    await slot.slot.release("build");
    await expect(slot.attempt(slot.spec(["true"], { layers }))).rejects.toThrow("keeps no layer named build");
  });
});
