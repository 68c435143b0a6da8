/**
 * Which images a job needs. The queue carries it beside the job's id, so that a worker that lacks one can leave the job
 * to a worker that has it, without having taken it.
 */
import type { JobRequest } from "./job-request.ts";

/** The image of a preset, which is built; or one by the name that a client gave. */
export type ImageNeed = { readonly language: string } | { readonly image: string };

/** The images of a request, those of its parts included. */
export function imageNeedsOf(request: JobRequest): ImageNeed[] {
  switch (request.kind) {
    case "run":
      if (request.language !== undefined) return [{ language: request.language }];
      return request.image === undefined ? [] : [{ image: request.image }];
    case "judge": {
      const { checker, interactor } = request;
      const programs = [request, checker.type === "program" ? checker : undefined, interactor];
      return programs.flatMap((program) => (program === undefined ? [] : [{ language: program.language }]));
    }
    case "shard":
      return [{ image: request.image }];
    default:
      return request satisfies never;
  }
}
