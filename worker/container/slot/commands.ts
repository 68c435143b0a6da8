import { type Command, type CommandSpec, planCommand } from "../plan/plan.ts";

/** Commands that are kept: those of the languages that are asked for now. */
const COMMANDS_MAX = 8;

/** Characters of a command, its environment and all, that is kept. */
const CHARACTERS_MAX = 16 * 1024;

/**
 * What containers were released for, planned once. Most jobs have a command that came before: they are of one language,
 * or cases of one judge, and differ in files and streams. Between a job and its program that is the most that a slot has
 * to do: 0.1 ms.
 */
export class Commands {
  /** By what they are made from; used longest ago first. */
  readonly #planned = new Map<string, Command>();

  /** The plan of a spec's command. */
  get({ command, environment, workingDirectory, user, build, limits }: CommandSpec): Command {
    const { openFiles, stackBytes, fileBytes } = limits;
    const own = { command, environment, workingDirectory, user, limits: { openFiles, stackBytes, fileBytes } };
    const spec: CommandSpec = build === undefined ? own : { ...own, build };
    const key = JSON.stringify(spec);
    const planned = this.#planned.get(key) ?? planCommand(spec);
    this.#planned.delete(key);
    if (key.length <= CHARACTERS_MAX) this.#planned.set(key, planned);
    const [oldest] = this.#planned.keys();
    if (oldest !== undefined && this.#planned.size > COMMANDS_MAX) this.#planned.delete(oldest);
    return planned;
  }
}
