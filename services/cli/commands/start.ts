import { Command } from "commander";
import { become, becomeCommand, fromRoot } from "../child.ts";

/** `longshore start`: what `npm start` does. */
export function startCommand(): Command {
  return new Command("start")
    .description("set the machine up, start Redis, API and one worker, run a first job, and serve")
    .action(async () => {
      await becomeCommand("bash", [fromRoot("infra/setup.sh"), "start"]);
      if (process.exitCode === 0) await become("infra/start.ts", []);
    });
}
