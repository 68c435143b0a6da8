/** Text of clients, on its way to a process: it arrives as it was sent, and nothing on the way reads anything into it. */
import { once } from "node:events";
import { createServer } from "node:net";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { judgeJobSchema } from "../../shared/job.ts";
import { hostileText } from "../fuzz/values.ts";
import { Target } from "./target.ts";

let target: Target;
beforeAll(async () => {
  target = await Target.open(1, { LONGSHORE_PULL: "missing" });
});
afterAll(() => target[Symbol.asyncDispose]());

/** Well-formed text without NUL: other text is refused. */
const words = fc
  .sample(hostileText, { numRuns: 400, seed: 1 })
  .filter((word) => word.isWellFormed() && !word.includes("\0"))
  .concat("$(touch /work/injected)", "`touch /work/injected`", "; touch /work/injected", "| touch /work/injected");

const echo = `
import json, os, sys
print(json.dumps([sys.argv[1:], [os.environ.get(f"V{n}") for n in range(int(sys.argv[1]))], sys.stdin.read(), sorted(os.listdir("."))]))`;

describe("arguments, variables and stdin", () => {
  test("arrive as they were sent, whatever a shell would make of them", async () => {
    expect(words.length).toBeGreaterThan(200);
    const values = words.slice(0, 200);
    const sent = [String(values.length), ...words];
    const request = {
      language: "python",
      source: echo,
      arguments: sent,
      environment: Object.fromEntries(values.map((value, index) => [`V${index}`, value])),
      stdin: words.join("\n"),
      limits: { outputBytes: 8 * 1024 * 1024 },
    };
    expect(JSON.parse(await target.output(request))).toEqual([sent, values, words.join("\n"), ["main.py"]]);
  });

  test("arrive at a shell as its arguments, not as its script", async () => {
    const source = `printf '%s\\0' "$@"; ls`;
    const output = await target.output({ language: "bash", source, arguments: words });
    expect(output.split("\0")).toEqual([...words, "main.sh\n"]);
  });

  test("arrive at a program that was compiled", async () => {
    const source = `#include <stdio.h>\nint main(int n, char **words) { while (*++words) { fputs(*words, stdout); putchar(0); } }`;
    const output = await target.output({ language: "c", source, arguments: words });
    expect(output.split("\0")).toEqual([...words, ""]);
  });

  test.each(["; id", "$(id)", "`id`", "id; id", "python3 -c 1", "-c", "\n", "id\n", "/bin/sh -c id", "*"])(
    "as the command's name, %j is a name",
    async (name) => {
      const { result } = await target.run({ image: "python", command: [name, "x"] });
      expect(result).toMatchObject({ outcome: "exited", stdout: { content: "" } });
      expect([126, 127]).toContain(result?.exitCode);
    },
  );

  test("of the loader, the shell and the interpreter change the program's own process only", async () => {
    const environment = {
      LD_PRELOAD: "/work/no-such.so",
      LD_LIBRARY_PATH: "/work",
      BASH_ENV: "/work/env",
      ENV: "/work/env",
      IFS: "/",
      PATH: "/work:/usr/bin:/bin",
      PYTHONSTARTUP: "/work/env",
      NODE_OPTIONS: "--require /work/env",
      GCONV_PATH: "/work",
    };
    const files = [{ path: "env", content: "echo injected\n", executable: true }];
    const job = await target.run({ language: "bash", source: "echo $PPID", environment, files });
    expect(job).toMatchObject({ state: "done", attempt: 1 });
    expect(await target.output({ language: "bash", source: "echo ${LD_PRELOAD-none} $IFS" })).toBe("none\n");
  });
});

describe("names of files", () => {
  test("are names, in and out", async () => {
    const names = ["-rf", "--", "a b", "a\nb", "$(id)", "`id`", ";id", "'", '"', "*.txt", "%s", "é", "\u202e", "{a,b}"];
    const files = names.map((path) => ({ path, content: path }));
    const source = "import os; print(sorted(os.listdir('.')))";
    const literal = names.filter((name) => !/[*{]/.test(name));
    const job = await target.run({ language: "python", source, files, outputs: literal });
    expect(job.result?.outputs.map(({ path }) => path)).toEqual(literal);
    for (const name of literal) {
      const response = await fetch(`${target.url}/v1/jobs/${job.id}/outputs/${encodeURIComponent(name)}`);
      expect([name, response.status, await response.text()]).toEqual([name, 200, name]);
      expect(response.headers.get("content-disposition")).toMatch(/^attachment/);
      expect(response.headers.get("content-disposition")).not.toMatch(/[\r\n]/);
    }
  });
});

/** What a shell, a path, a format or a terminal could read something into. */
const NAMES = [
  "a b",
  "a\nb",
  "'",
  '"',
  "$(id)",
  "`id`",
  ";id",
  "|id",
  "&",
  "-rf",
  "--",
  "%s",
  "\\n",
  "*",
  "é",
  "\u202e",
  "~",
  "#",
];

describe("names of working directories", () => {
  test("are names", async () => {
    const command = ["python3", "-c", "import json, os; print(json.dumps([os.getcwd(), os.listdir('.')]))"];
    for (const name of NAMES) {
      const workingDirectory = `/srv/${name}/deep`;
      const files = [{ path: "x", content: "" }];
      const output = await target.output({ image: "python", command, workingDirectory, files });
      expect(JSON.parse(output)).toEqual([workingDirectory, ["x"]]);
    }
  });
});

describe("names of a judge's cases", () => {
  test("are names, and their content is content", async () => {
    const cases = NAMES.map((name) => ({ name, stdin: `${name}\0\r\n`, expected: `${name}\0\r\n` }));
    const source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())";
    const job = { kind: "judge", language: "python", source, cases, checker: { type: "exact" } };
    const response = await target.submit(job);
    const { id } = (await response.json()) as { id: string };
    const answer = judgeJobSchema.parse(await (await fetch(`${target.url}/v1/jobs/${id}?wait=60`)).json());
    expect(answer.result?.cases.map(({ name, verdict }) => [name, verdict])).toEqual(
      NAMES.map((name) => [name, "accepted"]),
    );
  });
});

describe("names of images", () => {
  const hosts = ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "127.0.0.1.nip.example"];

  test.each(["", ...hosts])("do not make a worker talk to %s, whose registry nobody has named", async (host) => {
    const connections: string[] = [];
    const server = createServer((socket) => {
      connections.push(host);
      socket.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    for (const image of [`${host || "[::1]"}:${port}/a/b:1`, `${host || "localhost"}:${target.ports[1]}/a`]) {
      const response = await target.submit({ image, command: ["true"] });
      const job = (await response.json()) as { id?: string; error?: { code: string } };
      if (!response.ok) {
        expect([image, job.error?.code]).toEqual([image, "invalid_request"]);
        continue;
      }
      const { state, error } = await target.finished({ id: job.id ?? "" });
      expect([image, state]).toEqual([image, "failed"]);
      expect(["pull_forbidden", "image_not_found", "image_unusable"]).toContain(error?.code);
    }
    server.close();
    expect(connections).toEqual([]);
  });
});
