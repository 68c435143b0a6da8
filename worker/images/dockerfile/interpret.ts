/**
 * What an instruction means in the state that a stage is in: the next state, and the work that makes a layer, if any.
 * Pure: nothing is run and no file is looked at.
 */
import { posix } from "node:path";
import { expand, type QuoteHandling } from "./expand.ts";
import type { Command, Heredoc, Instruction, RunCommand, StepNetwork } from "./instruction.ts";
import { argumentValue, type BuildValues, givenProxies, type StageState, stepEnvironment } from "./stage-state.ts";

/** A command in a container of its own. */
export interface RunWork {
  readonly kind: "run";
  readonly command: readonly [string, ...string[]];
  readonly stdin: string;
  /** All but the proxies. */
  readonly environment: Readonly<Record<string, string>>;
  /** Given to the command, but of no meaning for what comes of it. */
  readonly proxies: Readonly<Record<string, string>>;
  /** As USER says: names or numbers, perhaps with a group; empty for root. */
  readonly user: string;
  readonly workingDirectory: string;
  readonly network: "none" | "host";
}

/** Files from the context, a stage, an image, or the Dockerfile itself. */
export interface CopyWork {
  readonly kind: "copy";
  /** ADD: archives of the context are unpacked. */
  readonly archives: "unpacked" | "copied";
  /** As `COPY --from` names it; undefined for the context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly documents: readonly Heredoc[];
  /** Absolute; with a slash at its end where a directory is meant. */
  readonly destination: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
}

/** A directory that is to exist. */
export interface DirectoryWork {
  readonly kind: "directory";
  readonly path: string;
}

export type Work = RunWork | CopyWork | DirectoryWork;

/** The instruction's effect. */
export interface Step {
  readonly state: StageState;
  /** Undefined for what only changes the configuration. */
  readonly work: Work | undefined;
}

/** @throws {SyntaxError} when an argument makes no sense */
export function interpret(
  state: StageState,
  instruction: Exclude<Instruction, { keyword: "FROM" }>,
  values: BuildValues,
): Step {
  const lookup = (name: string) => state.environment.get(name) ?? state.arguments.get(name);
  const word = (text: string) => expand(text, values.escape, lookup);
  const configure = (settings: StageState["settings"]): Step => ({
    state: { ...state, settings: { ...state.settings, ...settings } },
    work: undefined,
  });
  switch (instruction.keyword) {
    case "ARG":
      return { state: declare(state, instruction.parameters, values), work: undefined };
    case "ENV": {
      // All values are read before any is set: `ENV A=1 B=$A` takes the A from before.
      const added = instruction.assignments.map(([name, value]) => [word(name), word(value)] as const);
      const environment = new Map([...state.environment, ...added]);
      const Env = [...environment].map(([name, value]) => `${name}=${value}`);
      return { state: { ...state, environment, settings: { ...state.settings, Env } }, work: undefined };
    }
    case "LABEL": {
      const added = Object.fromEntries(instruction.assignments.map(([name, value]) => [word(name), word(value)]));
      return configure({ Labels: { ...asRecord(state.settings["Labels"]), ...added } });
    }
    case "RUN":
      return { state, work: runWork(state, instruction.command, instruction.network, values) };
    case "COPY":
    case "ADD":
      return {
        state,
        work: copyWork(state, instruction, (text, quotes) => expand(text, values.escape, lookup, quotes)),
      };
    case "WORKDIR": {
      const path = posix.resolve(workingDirectory(state), word(instruction.value));
      return { ...configure({ WorkingDir: path }), work: { kind: "directory", path } };
    }
    case "USER":
      return configure({ User: word(instruction.value) });
    case "CMD": {
      const { state: next } = configure({ Cmd: commandWords(state, instruction.command) });
      return { state: { ...next, command: "own" }, work: undefined };
    }
    case "ENTRYPOINT": {
      const Entrypoint = commandWords(state, instruction.command);
      if (state.command === "own") return configure({ Entrypoint });
      const { Cmd: _, ...settings } = state.settings;
      return { state: { ...state, settings: { ...settings, Entrypoint } }, work: undefined };
    }
    case "SHELL":
      return { state: { ...configure({ Shell: instruction.words }).state, shell: instruction.words }, work: undefined };
    case "EXPOSE":
      return configure({
        ExposedPorts: addKeys(
          state.settings["ExposedPorts"],
          instruction.words.map((text) => port(word(text))),
        ),
      });
    case "VOLUME":
      return configure({
        Volumes: addKeys(
          state.settings["Volumes"],
          instruction.words.map((text) => word(text)),
        ),
      });
    case "STOPSIGNAL":
      return configure({ StopSignal: word(instruction.value) });
    case "HEALTHCHECK":
      return configure({ Healthcheck: healthcheck(state, instruction.check) });
    case "MAINTAINER":
      return { state: { ...state, author: instruction.value }, work: undefined };
    default:
      return instruction satisfies never;
  }
}

function declare(
  state: StageState,
  parameters: readonly { readonly name: string; readonly value?: string }[],
  values: BuildValues,
): StageState {
  const declared = new Map(state.arguments);
  for (const { name, value } of parameters) {
    const lookup = (other: string) => state.environment.get(other) ?? declared.get(other);
    const chosen =
      values.given.get(name) ??
      (value === undefined ? argumentValue(name, values) : expand(value, values.escape, lookup));
    if (chosen !== undefined) declared.set(name, chosen);
  }
  return { ...state, arguments: declared };
}

function workingDirectory(state: StageState): string {
  return posix.resolve("/", state.settings.WorkingDir ?? "");
}

function runWork(state: StageState, command: RunCommand, network: StepNetwork, values: BuildValues): RunWork {
  if (network === "host" && values.network === "none") {
    throw new SyntaxError("RUN --network=host goes beyond what this build may do: start it with --network host");
  }
  const { words, stdin } = runWords(state, command);
  const [program, ...rest] = words;
  if (program === undefined || program === "") throw new SyntaxError("RUN names no command");
  return {
    kind: "run",
    command: [program, ...rest],
    stdin,
    environment: stepEnvironment(state),
    proxies: givenProxies(values),
    user: state.settings.User ?? "",
    workingDirectory: workingDirectory(state),
    network: network === "default" ? values.network : network,
  };
}

/** A document whose first line names an interpreter is that one's, read from its stdin; else it is the shell's. */
function runWords(state: StageState, command: RunCommand): { words: readonly string[]; stdin: string } {
  if (command.form !== "document") return { words: commandWords(state, command), stdin: "" };
  const [, interpreter, argument] = /^#!\s*(\S+)[ \t]*(.*)/.exec(command.content) ?? [];
  if (interpreter === undefined) return { words: [...state.shell, command.content], stdin: "" };
  const argumentWords = argument === undefined || argument.trim() === "" ? [] : [argument.trim()];
  return { words: [interpreter, ...argumentWords, "/dev/stdin"], stdin: command.content };
}

function commandWords(state: StageState, command: Command): string[] {
  return command.form === "exec" ? [...command.words] : [...state.shell, command.script];
}

function copyWork(
  state: StageState,
  instruction: Extract<Instruction, { keyword: "COPY" | "ADD" }>,
  word: (text: string, quotes?: QuoteHandling) => string,
): CopyWork {
  const sources = instruction.sources.map((source) => word(source));
  for (const source of sources) {
    if (/^[a-z][a-z0-9+.-]*:\/\/|^git@/i.test(source)) {
      throw new SyntaxError(
        `${instruction.keyword} ${source}: nothing is downloaded here: put the file into the context, or download it in a RUN`,
      );
    }
  }
  const given = word(instruction.destination);
  const path = posix.resolve(workingDirectory(state), given);
  const isDirectory = /(?:^|\/)\.{0,2}$/.test(given) && path !== "/";
  const destination = isDirectory ? `${path}/` : path;
  if (sources.length + instruction.documents.length > 1 && destination !== "/" && !isDirectory) {
    throw new SyntaxError(`${instruction.keyword} of several files needs a directory as destination: ${given}/`);
  }
  const documents = instruction.documents.map((document) =>
    document.variables === "kept" ? document : { ...document, content: word(document.content, "kept") },
  );
  return {
    kind: "copy",
    archives: instruction.keyword === "ADD" ? "unpacked" : "copied",
    from: instruction.from,
    sources,
    documents,
    destination,
    chown: instruction.chown === undefined ? undefined : word(instruction.chown),
    chmod: instruction.chmod === undefined ? undefined : word(instruction.chmod),
  };
}

function healthcheck(state: StageState, check: Extract<Instruction, { keyword: "HEALTHCHECK" }>["check"]): object {
  if (check === "none") return { Test: ["NONE"] };
  const { command, interval, timeout, startPeriod, startInterval, retries } = check;
  const Test =
    command.form === "exec"
      ? ["CMD", ...command.words]
      : state.shell.join(" ") === "/bin/sh -c"
        ? ["CMD-SHELL", command.script]
        : ["CMD", ...state.shell, command.script];
  return {
    Test,
    ...(interval !== undefined && { Interval: interval }),
    ...(timeout !== undefined && { Timeout: timeout }),
    ...(startPeriod !== undefined && { StartPeriod: startPeriod }),
    ...(startInterval !== undefined && { StartInterval: startInterval }),
    ...(retries !== undefined && { Retries: retries }),
  };
}

function port(text: string): string {
  const match = /^(\d{1,5}(?:-\d{1,5})?)(?:\/(tcp|udp|sctp))?$/i.exec(text);
  if (match === null) throw new SyntaxError(`${text} is not a port: write 80, 80/udp or 8000-8010`);
  return `${match[1]}/${(match[2] ?? "tcp").toLowerCase()}`;
}

function addKeys(present: unknown, keys: readonly string[]): Record<string, object> {
  return { ...asRecord(present), ...Object.fromEntries(keys.map((key) => [key, {}])) } as Record<string, object>;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
