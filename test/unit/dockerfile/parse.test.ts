import { describe, expect, it } from "vitest";
import { parseDockerfile } from "../../../worker/images/dockerfile/parse.ts";

/** The instructions after `FROM scratch`, without where they stand. */
function parse(text: string): object[] {
  return parseDockerfile(`FROM scratch\n${text}\n`, "Dockerfile")
    .instructions.slice(1)
    .map((instruction) =>
      Object.fromEntries(Object.entries(instruction).filter(([name]) => !["line", "text"].includes(name))),
    );
}

function messageOf(text: string): string {
  try {
    parseDockerfile(text, "images/Dockerfile");
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return "no error";
}

describe("a Dockerfile", () => {
  it("becomes instructions that know their line, in either line ending", () => {
    for (const end of ["\n", "\r\n"]) {
      const { instructions } = parseDockerfile(
        ["# comment", "FROM debian AS Base", "", "run true"].join(end),
        "Dockerfile",
      );
      expect(instructions).toEqual([
        { keyword: "FROM", image: "debian", stage: "base", line: 2, text: "FROM debian AS Base" },
        { keyword: "RUN", command: { form: "shell", script: "true" }, network: "default", line: 4, text: "RUN true" },
      ]);
    }
  });

  it("continues lines over comments and empty lines", () => {
    const script = "RUN one && \\\n  # a comment\n\n  two # no comment\\\n three";
    expect(parse(script)).toMatchObject([{ command: { form: "shell", script: "one &&   two # no comment three" } }]);
  });

  it("may choose another escape character", () => {
    const { escape, instructions } = parseDockerfile("# escape=`\nFROM x\nRUN a `\n b \\\nRUN c", "Dockerfile");
    expect(escape).toBe("`");
    expect(instructions.map(({ text }) => text)).toEqual(["FROM x", "RUN a  b \\", "RUN c"]);
  });

  it("has commands in exec form only where they are JSON", () => {
    expect(parse(`CMD ["a b", "c\\"d"]\nCMD ['a']\nENTRYPOINT exec a`)).toEqual([
      { keyword: "CMD", command: { form: "exec", words: ["a b", 'c"d'] } },
      { keyword: "CMD", command: { form: "shell", script: "['a']" } },
      { keyword: "ENTRYPOINT", command: { form: "shell", script: "exec a" } },
    ]);
  });

  it("has documents: as a script, for the shell to read, and as files", () => {
    expect(parse("RUN <<EOF\none\n# two\nEOF")).toMatchObject([
      { command: { form: "document", content: "one\n# two\n" } },
    ]);
    expect(parse("RUN cat <<'A' >/a && cat <<-B\n$x\nA\n\ty\n\tB")).toMatchObject([
      { command: { form: "shell", script: "cat <<'A' >/a && cat <<-B\n$x\nA\n\ty\n\tB" } },
    ]);
    expect(parse(`COPY --chmod=600 <<a <<-"b" /etc/\n\tone\na\n\ttwo\n\tb`)).toEqual([
      {
        keyword: "COPY",
        chmod: "600",
        sources: [],
        destination: "/etc/",
        documents: [
          { name: "a", content: "\tone\n", variables: "replaced" },
          { name: "b", content: "two\n", variables: "kept" },
        ],
      },
    ]);
  });

  it("has names and values, quoted, and in the older form", () => {
    expect(parse(`ENV A=b C="d e" F='g h' H=a\\ b\nENV OLD  style "value"\nLABEL "c d"=e`)).toEqual([
      { keyword: "ENV", assignments: [["A", "b"], ["C", '"d e"'], ["F", "'g h'"], ["H", "a\\ b"]] }, // prettier-ignore
      { keyword: "ENV", assignments: [["OLD", 'style "value"']] },
      { keyword: "LABEL", assignments: [['"c d"', "e"]] },
    ]);
  });

  it("has health checks with durations in nanoseconds", () => {
    const line = `HEALTHCHECK --interval=1m30s --timeout=500ms --retries=2 CMD ["check"]\nHEALTHCHECK NONE`;
    const command = { form: "exec", words: ["check"] };
    expect(parse(line)).toEqual([
      { keyword: "HEALTHCHECK", check: { command, interval: 90e9, timeout: 5e8, retries: 2 } },
      { keyword: "HEALTHCHECK", check: "none" },
    ]);
  });

  it("is refused with file and line where it says what cannot be done", () => {
    const refused = {
      "FROM x\nFOO bar": "2: unknown instruction FOO",
      "FROM x\nONBUILD RUN y": "2: ONBUILD is not supported: put what it triggers into",
      "FROM x\n\nRUN --mount=type=cache,target=/x y": "3: RUN --mount is not supported: it takes --network",
      "RUN x": "1: RUN stands before the first FROM: only ARG may",
      "": "1: there is no FROM: say what the image starts from",
      "FROM x\nRUN": "2: RUN needs an argument",
      "FROM x\nRUN <<EOF\ny": "2: the document EOF does not end: EOF is missing on a line of its own",
      "FROM x\nCOPY y": "2: COPY needs a source and a destination",
      "FROM x y": "1: FROM takes IMAGE, or IMAGE AS NAME: x y",
      "FROM x\nENV a=1 b": "2: ENV b has no value: write b=value",
      "FROM x\nSHELL bash": "2: SHELL takes a list",
      "FROM x\nADD --from=y a b": "2: ADD --from is not supported: use COPY --from",
      "FROM x\nARG 1=2": "2: 1 cannot name an argument",
      "FROM x\nHEALTHCHECK --interval=5 CMD y": "2: 5 is not a duration: write 30s",
      "FROM x\nRUN --network=bridge y": "2: RUN --network=bridge is not supported: use default, none or host",
    };
    for (const [text, message] of Object.entries(refused)) {
      expect(messageOf(text)).toContain(`DockerfileError: images/Dockerfile:${message}`);
    }
  });
});
