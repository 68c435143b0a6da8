/** Sources that attack a compiler, and builds that set traps for the run that follows. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../shared/config.ts";
import { ImageStore } from "../../worker/images/store.ts";
import { patiently } from "../support/patience.ts";
import { tarArchive, type TarFields } from "../support/tar.ts";
import { Target } from "./target.ts";

let target: Target;
beforeAll(async () => {
  // A build has limits of its own, which are those of the server where they are lower.
  target = await Target.open(1, {
    LONGSHORE_MAX_CPU_TIME_MS: String(patiently(4000)),
    LONGSHORE_MAX_WALL_TIME_MS: String(patiently(8000)),
  });
});
afterAll(() => target[Symbol.asyncDispose]());

const well = { language: "c", source: `#include <stdio.h>\nint main(void) { puts("42"); }` };

interface Attack {
  readonly language: "c" | "cpp" | "pascal" | "rust" | "go" | "haskell";
  readonly source: string;
  readonly files?: readonly { readonly path: string; readonly content: string }[];
}

const deepTemplate = `
template <int n, int m> struct T { typedef typename T<n - 1, m>::type a; typedef typename T<n - 1, m + (1 << n)>::type type; };
template <int m> struct T<0, m> { typedef int type; };
T<30, 0>::type x; int main() {}`;

const attacks: Readonly<Record<string, Attack>> = {
  "includes a file that is root's": { language: "c", source: `#include "/etc/shadow"\nint main(void) {}` },
  "includes a device without end": { language: "c", source: `#include "/dev/zero"\nint main(void) {}` },
  "includes random numbers": { language: "c", source: `#include "/dev/urandom"\nint main(void) {}` },
  "includes its own input": { language: "c", source: `#include "/dev/stdin"\n#include "/proc/self/fd/0"\n#error end` },
  "includes a directory": { language: "c", source: `#include "/"\n#include "/proc/1/environ"\nint main(void) {}` },
  "includes itself without end, twice": {
    language: "c",
    source: `#include "main.c"\n#include "main.c"\nerror here;`,
  },
  "expands macros without end": {
    language: "c",
    source: `#define a(x) x x x x x x x x x x\n#define b(x) a(a(a(a(x))))\nint main(void) { ${"b(b(b(".repeat(2)}puts("x");${")))".repeat(2)} }`,
  },
  "instantiates templates without end": { language: "cpp", source: deepTemplate },
  "computes without end at compile time": {
    language: "cpp",
    source: `constexpr unsigned long f(unsigned long n) { unsigned long s = 0; while (n) s += n; return s; }
constexpr unsigned long x = f(1); int main() { return x; }`,
  },
  "makes a program of terabytes": { language: "c", source: "char x[1UL << 40] = { 1 }; int main(void) {}" },
  "makes an object of gigabytes": {
    language: "c",
    source: `__asm__(".fill 0x7fffffff, 8, 0x55"); int main(void) {}`,
  },
  "makes the assembler read a device": {
    language: "c",
    source: `__asm__(".incbin \\"/dev/zero\\""); int main(void) {}`,
  },
  "makes the assembler repeat without end": {
    language: "c",
    source: `__asm__(".rept 1000000000\\n.rept 1000000000\\nnop\\n.endr\\n.endr"); int main(void) {}`,
  },
  "includes a file that is root's, in Pascal": {
    language: "pascal",
    source: "{$I /etc/shadow}\nbegin end.",
  },
  "includes itself without end, in Pascal": { language: "pascal", source: "{$I main.pas}\n{$I main.pas}\nbegin end." },
  "links the machine's files, in Pascal": {
    language: "pascal",
    source: "{$L /etc/shadow}\n{$L /dev/zero}\n{$R /proc/1/environ}\nbegin end.",
  },
  "includes a file that is root's, in Rust": {
    language: "rust",
    source: `fn main() { println!("{}", include_str!("/etc/shadow")); }`,
  },
  "includes a device without end, in Rust": {
    language: "rust",
    source: `fn main() { println!("{}", include_bytes!("/dev/zero").len()); }`,
  },
  "computes without end at compile time, in Rust": {
    language: "rust",
    source: `#![allow(long_running_const_eval)]\nconst fn f() -> u32 { loop {} }\nconst X: u32 = f();\nfn main() { println!("{X}"); }`,
  },
  "expands macros without end, in Rust": {
    language: "rust",
    source: `#![recursion_limit = "1000000"]\nmacro_rules! a { ($($t:tt)*) => { a!($($t)* $($t)*) } }\nfn main() { a!(x); }`,
  },
  "embeds a file that is root's, in Go": {
    language: "go",
    source: `package main\nimport _ "embed"\n//go:embed /etc/shadow\nvar shadow string\nfunc main() { println(shadow) }`,
  },
  "makes a program of terabytes, in Go": {
    language: "go",
    source: `package main\nvar x = [1 << 40]byte{1 << 39: 1}\nfunc main() { println(len(x)) }`,
  },
  "reads a file that is root's with a program of its own, in Haskell": {
    language: "haskell",
    source: `{-# LANGUAGE TemplateHaskell #-}
import Language.Haskell.TH
main = putStrLn $(runIO (readFile "/etc/shadow") >>= stringE)`,
  },
  "runs without end as it is compiled, in Haskell": {
    language: "haskell",
    source: `{-# LANGUAGE TemplateHaskell #-}
import Control.Monad
import Language.Haskell.TH
main = putStrLn $(runIO (forever (appendFile "/work/x" "x")) >> stringE "")`,
  },
  "has a line of a megabyte, nested": {
    language: "c",
    source: `int main(void) { return ${"(".repeat(500_000)}1${")".repeat(500_000)}; }`,
  },
};

describe("a source that", async () => {
  const images = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
  const stored = new Set(await images.references.list());

  test.for(Object.entries(attacks))(
    "%s ends with its build, and the next job is as well off",
    async ([, attack], { skip }) => {
      skip(!stored.has(attack.language), "its image is not stored");
      const job = await target.run(attack);
      expect(job).toMatchObject({ state: "done", attempt: 1, error: null });
      expect(job.result).toMatchObject({ outcome: "build_failed" });
      expect(JSON.stringify(job.result?.build)).not.toMatch(/root:[*!x]/);
      expect((await target.run(well)).result).toMatchObject({ outcome: "exited", stdout: { content: "42\n" } });
    },
  );
});

/** Puts a layer as a client does. */
async function put(...entries: readonly TarFields[]): Promise<string> {
  const body = tarArchive(...entries);
  const response = await fetch(`${target.url}/v1/blobs`, { method: "PUT", body: new Uint8Array(body) });
  expect(response.status).toBe(201);
  return `sha256:${createHash("sha256").update(body).digest("hex")}`;
}

describe("a source in whose place a layer of the job has", () => {
  test.each<[string, TarFields]>([
    ["a symlink to a file of root's", { type: "2", linkName: "/etc/shadow" }],
    ["a symlink that leads up", { type: "2", linkName: "../../../../etc/passwd" }],
    ["a symlink to /proc", { type: "2", linkName: "/proc/self/mem" }],
    ["a symlink to itself", { type: "2", linkName: "main.c" }],
    ["a FIFO", { type: "6", mode: 0o666 }],
    ["a device", { type: "3", device: [1, 1], mode: 0o666 }],
    ["a directory", { type: "5" }],
  ])("%s is written in the container or nowhere", async (_, trap) => {
    const files = ["/etc/shadow", "/etc/passwd"];
    const before = files.map((file) => readFileSync(file, "utf8"));
    const blob = await put({ ...trap, name: trap.type === "5" ? "main.c/" : "main.c" });
    const job = await target.run({ ...well, layers: [{ blob, at: "/work" }] });
    // Either it is compiled, or it is said that it cannot be.
    expect(["done", "failed"]).toContain(job.state);
    if (job.state === "failed") expect(["unusable_path", "setup_failed"]).toContain(job.error?.code);
    expect(files.map((file) => readFileSync(file, "utf8"))).toEqual(before);
    expect((await target.run(well)).result).toMatchObject({ outcome: "exited", stdout: { content: "42\n" } });
  });
});

/** Takes the place of the compiler proper, which gcc looks for where this variable says, and calls it. */
const hijack = (script: string) => ({
  environment: { COMPILER_PATH: "/work" },
  files: [
    {
      path: "cc1",
      content: `#!/bin/bash\n$(env -u COMPILER_PATH gcc -print-prog-name=cc1) "$@" || exit\n${script}\n`,
      executable: true,
    },
  ],
});

describe("a build that runs a program of its own", () => {
  test("cannot have the run return what it may not read, nor what is no file", async () => {
    const script = `cd /work
ln -s /etc/shadow shadow; ln -s / root; ln -s /proc/self/environ environ; ln -s /proc/1/root init
mkfifo pipe; mkdir -p sub; ln -s /etc sub/etc; truncate -s 1G sparse; ln main.c hard; ln -s hard soft`;
    const outputs = ["shadow", "root/etc/shadow", "environ", "init/etc/passwd", "pipe", "sub/**", "soft", "hard"];
    const job = await target.run({ ...well, ...hijack(script), outputs });
    expect(job.result).toMatchObject({ outcome: "exited", stdout: { content: "42\n" } });
    const returned = job.result?.outputs.filter((output) => !("error" in output)).map(({ path }) => path);
    expect(returned).toEqual(["hard"]);
  });

  test("leaves no process behind that could exchange the program before it runs", async () => {
    const script = `(setsid bash -c 'while :; do ln -sf /bin/false /work/main; done' < /dev/null > /dev/null 2>&1 &)`;
    const job = await target.run({ ...well, ...hijack(script) });
    // It may have won while the build was still at it: then it is another program of the container's that runs.
    expect(["exited", "build_failed"]).toContain(job.result?.outcome);
    expect((await target.run(well)).result).toMatchObject({ outcome: "exited", stdout: { content: "42\n" } });
  });

  test("cannot put its directory somewhere else", async () => {
    const script = "cd /; mv /work /elsewhere; ln -s / /work; rmdir /work; ln -sfT / /work; true";
    const job = await target.run({ ...well, ...hijack(script), outputs: ["etc/passwd", "main.c"] });
    expect(job.result?.outputs).toEqual([
      { path: "etc/passwd", error: "no such file" },
      { path: "main.c", bytes: well.source.length, sha256: expect.any(String) },
    ]);
  });
});
