import type { RunRequest } from "../../../shared/job-request.ts";
import type { JudgeProgram, JudgeRequest } from "../../../shared/judge-request.ts";
import type { ContainerSpec } from "../../container/spec.ts";
import type { RunPlan } from "../compose.ts";
import { checkerArguments, interactorArguments, withFiles } from "./case-run.ts";
import { asRunRequest, runOfBuilt } from "./program.ts";

/** A container, and what it is for. */
export interface OutlinedContainer {
  readonly title: string;
  readonly spec: ContainerSpec;
}

/** Where an outline says that things are which there are not yet. */
export interface OutlinePlaces {
  /** What builds have written, by the name of the program. */
  readonly build: (program: string) => string;
  /** The files of a case, by its index. */
  readonly caseFiles: (index: number) => string;
}

/**
 * The containers that judge a submission on its first case, in the order in which they are made: the same that
 * `performJudge` makes, but that nothing is cached yet, and that further cases have containers like the first's.
 */
export async function outlineJudge(
  request: JudgeRequest,
  compose: (request: RunRequest) => Promise<RunPlan>,
  places: OutlinePlaces,
): Promise<readonly OutlinedContainer[]> {
  const { checker, interactor } = request;
  const builds: OutlinedContainer[] = [];
  const prepare = async (name: string, program: JudgeProgram): Promise<ContainerSpec> => {
    const plan = await compose(asRunRequest(program));
    if (plan.build === undefined) return plan.run;
    builds.push({ title: `BUILD of the ${name}`, spec: plan.build });
    return runOfBuilt(plan.run, places.build(name));
  };

  const submission = await prepare("submission", request);
  const [first] = request.cases;
  if (first === undefined) throw new RangeError("a judge without cases was accepted");
  const run = { title: `CASE ${first.name}: the submission`, spec: { ...submission, limits: first.limits } };
  const files = { path: places.caseFiles(0) };
  if (interactor !== undefined) {
    const spec = withFiles(await prepare("interactor", interactor), files, interactorArguments);
    return [...builds, run, { title: `CASE ${first.name}: the interactor, in the slot's companion at once`, spec }];
  }
  if (checker.type !== "program") return [...builds, run];
  const spec = withFiles(await prepare("checker", checker), files, checkerArguments);
  return [...builds, run, { title: `CASE ${first.name}: the checker`, spec }];
}
