import { describe, expect, it } from "vitest";
import { interpret, type Work } from "../../../worker/images/dockerfile/interpret.ts";
import { parseDockerfile } from "../../../worker/images/dockerfile/parse.ts";
import { beginStage, buildValues, type StageState } from "../../../worker/images/dockerfile/stage-state.ts";
import { planBuild } from "../../../worker/images/dockerfile/stages.ts";
import type { ImageConfig } from "../../../worker/images/oci.ts";

const BASE: ImageConfig = {
  architecture: "amd64",
  os: "linux",
  config: { Env: ["PATH=/bin", "HOME=/root"], Cmd: ["sh"], WorkingDir: "/srv", User: "app" },
  rootfs: { type: "layers", diff_ids: [] },
};

interface StageOptions {
  readonly given?: Readonly<Record<string, string>>;
  readonly network?: "none" | "host";
  /** What stands before the FROM. */
  readonly before?: string;
}

/** Interprets a stage; answers the state after it and all the work of it. */
function stage(
  text: string,
  { given = {}, network = "none", before = "" }: StageOptions = {},
): { state: StageState; works: Work[] } {
  const values = new Map(Object.entries(given));
  const plan = planBuild(parseDockerfile(`${before}\nFROM base\n${text}\n`, "Dockerfile"), { arguments: values });
  let state = beginStage(BASE);
  const works: Work[] = [];
  for (const instruction of plan.stages[0]?.instructions ?? []) {
    const step = interpret(state, instruction, buildValues(plan, values, network));
    state = step.state;
    if (step.work !== undefined) works.push(step.work);
  }
  return { state, works };
}

describe("the settings of an image", () => {
  it("grow from those of its base", () => {
    const { state } = stage(`
      ENV PATH=/opt/bin:$PATH GREETING="hello world"
      LABEL version=1
      LABEL name="a b"
      EXPOSE 80 53/udp
      VOLUME ["/data"]
      STOPSIGNAL SIGINT
      USER root:staff
      HEALTHCHECK CMD true
    `);
    expect(state.settings).toMatchObject({
      Env: ["PATH=/opt/bin:/bin", "HOME=/root", "GREETING=hello world"],
      Cmd: ["sh"],
      Labels: { version: "1", name: "a b" },
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      Volumes: { "/data": {} },
      StopSignal: "SIGINT",
      User: "root:staff",
      Healthcheck: { Test: ["CMD-SHELL", "true"] },
    });
  });

  it("replace variables by what they were before the instruction", () => {
    const { state } = stage("ENV A=old\nENV A=new B=$A");
    expect(state.environment.get("B")).toBe("old");
  });

  it("lose an inherited command to an entry point, but not one of their own", () => {
    expect(stage(`ENTRYPOINT ["run"]`).state.settings).not.toHaveProperty("Cmd");
    expect(stage(`CMD ["a"]\nENTRYPOINT ["run"]`).state.settings).toMatchObject({ Cmd: ["a"], Entrypoint: ["run"] });
  });

  it("hand the shell form to the shell in force", () => {
    const { state, works } = stage(`SHELL ["/bin/bash", "-ec"]\nRUN one two\nCMD three`);
    expect(works).toMatchObject([{ command: ["/bin/bash", "-ec", "one two"] }]);
    expect(state.settings).toMatchObject({ Cmd: ["/bin/bash", "-ec", "three"], Shell: ["/bin/bash", "-ec"] });
  });
});

describe("arguments", () => {
  it("reach commands, under the environment, from where they are declared on", () => {
    const { works } = stage("RUN a\nARG X=1\nARG HOME=/elsewhere\nRUN b", { given: { X: "2" } });
    expect(works).toMatchObject([
      { environment: { PATH: "/bin", HOME: "/root" } },
      { environment: { X: "2", HOME: "/root" } },
    ]);
    expect(works[0]).not.toHaveProperty("environment.X");
  });

  it("from before the first FROM have a value in a stage only when it declares them", () => {
    const { works } = stage("RUN a\nARG X\nRUN b", { before: "ARG X=global" });
    expect(works[0]).not.toHaveProperty("environment.X");
    expect(works[1]).toHaveProperty("environment.X", "global");
  });

  it("that name proxies are passed on, apart from what decides about the result", () => {
    const { works } = stage("RUN a", { given: { http_proxy: "http://proxy" } });
    expect(works).toMatchObject([{ proxies: { http_proxy: "http://proxy" } }]);
    expect(works[0]).not.toHaveProperty("environment.http_proxy");
  });
});

describe("a step of a build", () => {
  it("runs as the user and in the directory that are in force", () => {
    const { works } = stage("RUN a\nWORKDIR sub\nUSER 5:6\nRUN b");
    expect(works).toMatchObject([
      { kind: "run", user: "app", workingDirectory: "/srv" },
      { kind: "directory", path: "/srv/sub" },
      { kind: "run", user: "5:6", workingDirectory: "/srv/sub" },
    ]);
  });

  it("gives a document to its interpreter, or to the shell", () => {
    const { works } = stage("RUN <<EOF\n#!/usr/bin/python3 -I\nprint()\nEOF\nRUN <<EOF\ntrue\nEOF");
    expect(works).toMatchObject([
      { command: ["/usr/bin/python3", "-I", "/dev/stdin"], stdin: "#!/usr/bin/python3 -I\nprint()\n" },
      { command: ["/bin/sh", "-c", "true\n"], stdin: "" },
    ]);
  });

  it("uses no more of the network than the build was given", () => {
    expect(stage("RUN a\nRUN --network=none b", { network: "host" }).works).toMatchObject([
      { network: "host" },
      { network: "none" },
    ]);
    expect(() => stage("RUN --network=host a")).toThrow("start it with --network host");
  });

  it("copies to a place in the working directory, with variables replaced in all but quoted documents", () => {
    const { works } = stage(
      `ENV V=v\nCOPY $V.txt a b sub/\nCOPY --chown=$V:$V <<A <<'B' .\n$V "$V"\nA\n$V\nB\nADD a.tar /`,
    );
    expect(works).toEqual([
      expect.objectContaining({ archives: "copied", sources: ["v.txt", "a", "b"], destination: "/srv/sub/" }),
      expect.objectContaining({
        destination: "/srv/",
        chown: "v:v",
        documents: [
          { name: "A", content: 'v "v"\n', variables: "replaced" },
          { name: "B", content: "$V\n", variables: "kept" },
        ],
      }),
      expect.objectContaining({ archives: "unpacked", sources: ["a.tar"], destination: "/" }),
    ]);
  });

  it("is refused where it would download, or put several files into one", () => {
    expect(() => stage("ADD https://example.org/a /a")).toThrow("nothing is downloaded here");
    expect(() => stage("COPY a b /c")).toThrow("needs a directory as destination: /c/");
    expect(() => stage("EXPOSE web")).toThrow("web is not a port");
  });
});
