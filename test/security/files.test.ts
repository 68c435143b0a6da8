/** Ways out of a container's tree: through files that come in, and through files that go out. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Target } from "./target.ts";

const secret = randomUUID();
let target: Target;
/** Of the machine; everybody may read what is in it. */
let directory: Awaited<ReturnType<typeof mkdtempDisposable>>;
let secretFile: string;
beforeAll(async () => {
  target = await Target.open();
  directory = await mkdtempDisposable(join(tmpdir(), "longshore-secret-"));
  secretFile = join(directory.path, "secret");
  await writeFile(secretFile, secret);
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
  await directory.remove();
});

describe("files that a job brings", () => {
  // Debian's /var/run and /var/lock are symbolic links to /run and /run/lock.
  test.each(["/var/run", "/var/lock"])("stay in the container where its image has a link at %s", async (link) => {
    const name = `longshore-${secret}`;
    const output = await target.output({
      image: "python",
      command: ["cat", "below/file"],
      workingDirectory: `${link}/${name}`,
      files: [{ path: "below/file", content: "inside" }],
    });
    expect(output).toBe("inside");
    expect(["/run", "/run/lock", "/var/run", "/var/lock"].filter((place) => existsSync(`${place}/${name}`))).toEqual(
      [],
    );
  });

  test.each(["../a", "/etc/a", "a/../../a", "./a", "a//b", "", "a\0b", "a".repeat(256), `${"a/".repeat(64)}a`])(
    "cannot be named %j",
    async (path) => {
      const response = await target.submit({ language: "bash", source: "", files: [{ path, content: "" }] });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { details: [{ path: "files[0].path" }] } });
    },
  );
});

describe("files that a job returns", () => {
  test("are none that links lead to", async () => {
    const source = `
import os, sys
for name, place in dict(secret=sys.argv[1], root="/", init="/proc/1/root", self="/proc/self/root", cwd="/proc/self/cwd",
                        fd="/proc/self/fd/0", up="../../../../..", loop="loop").items():
    os.symlink(place, name)
os.mkdir("real")
os.symlink("/etc", "real/link")`;
    const links = ["root", "init", "self", "up"].flatMap((link) => [`${link}/etc/passwd`, `${link}/etc/*`]);
    const outputs = [
      "secret",
      "fd",
      "loop",
      "cwd/main.py",
      "real/link/passwd",
      "real/**/passwd",
      "**/shadow",
      ...links,
    ];
    const job = await target.run({ language: "python", source, arguments: [secretFile], outputs });
    expect(job.result).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(job.result?.outputs.filter((output) => !("error" in output))).toEqual([]);
    expect(job.result?.outputs.map(({ path }) => path)).toEqual(expect.arrayContaining(["secret", "root/etc/passwd"]));
  });

  // What the program itself may not read it could otherwise have returned: the slot reads as root.
  test.each([
    [
      "a directory above the working directory",
      "/work/a/b",
      "mv /work/a /work/c && mkdir /work/a && ln -s / /work/a/b",
    ],
    ["that itself", "/work/a", "mv /work/a /work/c && ln -s / /work/a"],
  ])("are none of the image's where a link takes the place of %s", async (_, workingDirectory, script) => {
    const job = await target.run({
      image: "bash",
      command: ["bash", "-c", `echo mine > mine && ${script}`],
      workingDirectory,
      outputs: ["etc/shadow", "etc/passwd", "mine"],
    });
    expect(job.result).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(job.result?.outputs).toEqual([
      { path: "etc/shadow", error: "no such file" },
      { path: "etc/passwd", error: "no such file" },
      { path: "mine", bytes: 5, sha256: expect.any(String) },
    ]);
  });

  test("are none that the program may not read, though it may say where it works", async () => {
    const outputs = ["shadow", "gshadow", "sudoers", "ssl/private/*"];
    const request = { image: "bash", command: ["cat", "shadow"], workingDirectory: "/etc", outputs };
    const { result } = await target.run(request);
    expect(result).toMatchObject({ exitCode: 1, stdout: { content: "" } });
    expect(result?.outputs.filter((output) => !("error" in output))).toEqual([]);
    expect(result?.outputs[0]).toEqual({ path: "shadow", error: "cannot be opened: EACCES" });
  });

  test("are no others where hard links and open files are swapped", async () => {
    const source = `
import os
for place in ("/etc/shadow", "/proc/self/environ", "/dev/zero"):
    try: os.link(place, os.path.basename(place))
    except OSError as error: print(error.strerror)
os.mkfifo("pipe"); os.truncate(os.open("sparse", os.O_CREAT | os.O_WRONLY), 1 << 25)`;
    const outputs = ["shadow", "environ", "zero", "pipe", "sparse"];
    const job = await target.run({ language: "python", source, outputs });
    expect(job.result?.stdout.content.trim().split("\n")).toHaveLength(3);
    const returned = job.result?.outputs.filter((output) => !("error" in output));
    expect(returned).toEqual([{ path: "sparse", bytes: 2 ** 25, sha256: expect.any(String) }]);
  });
});

describe("a program", () => {
  test("finds nothing of the machine's by any path", async () => {
    const source = `
import os, sys
path = sys.argv[1]
os.makedirs("deep/er", exist_ok=True)
root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
attempts = [path, ".." * 1 + "/.." * 40 + path, "/proc/1/root" + path, "/proc/self/root/../../.." + path, "/proc/1/cwd" + path]
attempts += [f"/proc/self/fd/{n}/.." * 1 + path for n in range(10)] + [f"/proc/{n}/root{path}" for n in range(100)]
for attempt in attempts:
    try: print("found", attempt, open(attempt).read())
    except OSError: pass
try: print("found", os.open("../.." + path, os.O_RDONLY, dir_fd=root))
except OSError: pass
for call in (lambda: os.chroot("deep"), lambda: os.fchdir(root) or os.chroot("..")):
    try: call(); print("chroot")
    except PermissionError: pass`;
    expect(await target.output({ language: "python", source, arguments: [secretFile] })).toBe("");
  });

  test("gets nothing of the machine's from a compiler", async () => {
    const include = `#include "${secretFile}"\n#include "/proc/1/root${secretFile}"\nint main(void) { return 0; }`;
    const embed = `__asm__(".incbin \\"${secretFile}\\""); int main(void) { return 0; }`;
    for (const source of [include, embed]) {
      const { result } = await target.run({ language: "c", source });
      expect(result).toMatchObject({ outcome: "build_failed", build: { outcome: "exited" } });
      expect(result?.build?.stderr.content).toMatch(/No such file|not found/);
      expect(JSON.stringify(result)).not.toContain(secret);
    }
  });
});
