/** Dockerfiles, from their text to what there would be to do. */
import * as fc from "fast-check";
import { DockerfileError } from "../../../worker/images/dockerfile/error.ts";
import { interpret } from "../../../worker/images/dockerfile/interpret.ts";
import { parseDockerfile } from "../../../worker/images/dockerfile/parse.ts";
import { beginStage, buildValues } from "../../../worker/images/dockerfile/stage-state.ts";
import { planBuild } from "../../../worker/images/dockerfile/stages.ts";
import { defineTarget, insistOnRefusal } from "../target.ts";
import { hostileText } from "../values.ts";

const line = fc.oneof(
  fc.constantFrom(
    ...["FROM scratch", "FROM base AS one", "FROM one", "FROM $A", "FROM --platform=$BUILDPLATFORM base", "ARG A=b"],
    ...["ARG A B=$A", "ENV A=b C='d e'", "ENV A b", 'RUN ["a", "b"]', "RUN --network=none a \\", "RUN <<E", "E"],
    ...["RUN <<-'E' cat", "COPY a b", "COPY --from=one --chown=1:2 a b /c/", "COPY <<E /f", "ADD a.tar /", "USER $A"],
    ...["WORKDIR ../../x", 'CMD ["x"', "ENTRYPOINT a", 'SHELL ["sh"]', "HEALTHCHECK --interval=1h CMD x", "LABEL a=b"],
    ...["EXPOSE 80/tcp", "VOLUME /a", "ONBUILD RUN x", "STOPSIGNAL 9", "MAINTAINER x", "# comment", "# escape=`", "\\"],
  ),
  fc
    .record({
      keyword: fc.constantFrom(
        "FROM",
        "ARG",
        "ENV",
        "RUN",
        "COPY",
        "ADD",
        "USER",
        "WORKDIR",
        "LABEL",
        "EXPOSE",
        "SHELL",
      ),
      flag: fc.constantFrom("", "--from=", "--chmod=", "--mount=type=", "--link ", "--chown=$A "),
      words: hostileText,
    })
    .map(({ keyword, flag, words }) => `${keyword} ${flag}${words}`),
  fc
    .array(fc.constantFrom("${", "}", "$", ":-", ":+", "A", "'", '"', "\\", "%", "#", "##", "/"), { maxLength: 14 })
    .map((parts) => `ENV X=${parts.join("")}`),
  hostileText,
);

export const dockerfiles = defineTarget({
  name: "dockerfiles",
  runs: 10_000,
  values: fc.record({
    lines: fc.array(line, { maxLength: 12 }),
    end: fc.constantFrom("\n", "\r\n"),
    given: fc.dictionary(fc.oneof(fc.constantFrom("A", "http_proxy"), hostileText), hostileText, { maxKeys: 3 }),
  }),
  open:
    () =>
    ({ lines, end, given }) => {
      try {
        const values = new Map(Object.entries(given));
        const plan = planBuild(parseDockerfile(lines.join(end), "Dockerfile"), { arguments: values });
        for (const stage of plan.stages) {
          let state = beginStage(undefined);
          for (const instruction of stage.instructions) {
            state = interpret(state, instruction, buildValues(plan, values, "none")).state;
          }
        }
      } catch (error) {
        insistOnRefusal(error, DockerfileError, SyntaxError);
      }
    },
});
