import { Command } from "commander";
import { become } from "../child.ts";

/** `longshore explain`: the system calls that would make a job's container. */
export function explainCommand(): Command {
  return new Command("explain")
    .description("print the plan of system calls that a job would run, without running it")
    .argument("<job.json>", "body of a POST /v1/jobs; - reads it from stdin")
    .action((file: string) => become("worker/commands/explain.ts", [file]));
}
