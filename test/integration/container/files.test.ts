import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InputFile } from "../../../worker/container/spec.ts";
import { TestSlot, text } from "../../support/container.ts";

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

describe("files returned from a container", () => {
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
