import { Command } from "commander";
import { become } from "../child.ts";

/** `longshore doctor`: whether this machine can run containers, and what degrades. */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description("check the machine: kernel, cgroups, overlay, user namespaces, seccomp, Redis, disk")
    .option("--json", "print the findings as JSON")
    .action((options: { json?: true }) => become("worker/commands/doctor.ts", options.json === true ? ["--json"] : []));
}
