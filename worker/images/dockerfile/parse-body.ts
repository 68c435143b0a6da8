import { parseDuration } from "./duration.ts";
import type { Assignment, Command, Copy, Healthcheck, InstructionBody, RunCommand } from "./instruction.ts";
import type { Clause } from "./parse.ts";
import { parseExecForm, splitQuotedWords, splitWords } from "./words.ts";

/**
 * Takes an instruction's arguments apart.
 * @throws {SyntaxError} when the instruction is unknown, not supported, or malformed
 */
export function parseBody(clause: Clause): InstructionBody {
  const { keyword, rest } = clause;
  if (rest === "") throw new SyntaxError(`${keyword} needs an argument`);
  switch (keyword) {
    case "FROM":
      return parseFrom(clause);
    case "ARG":
      return { keyword, parameters: splitQuotedWords(rest, clause.escape).map(parseParameter) };
    case "ENV":
    case "LABEL":
      return { keyword, assignments: parseAssignments(clause) };
    case "RUN":
      return { keyword, command: parseRunCommand(clause), network: parseNetwork(clause) };
    case "COPY":
    case "ADD":
      return { keyword, ...parseCopy(clause) };
    case "CMD":
    case "ENTRYPOINT":
      return { keyword, command: parseCommand(rest) };
    case "SHELL": {
      const words = parseExecForm(rest);
      if (words === undefined || words.length === 0) throw new SyntaxError(`SHELL takes a list: ["/bin/bash", "-c"]`);
      return { keyword, words };
    }
    case "EXPOSE":
      return { keyword, words: splitWords(rest) };
    case "VOLUME":
      return { keyword, words: parseExecForm(rest) ?? splitWords(rest) };
    case "WORKDIR":
    case "USER":
    case "STOPSIGNAL":
    case "MAINTAINER":
      return { keyword, value: rest };
    case "HEALTHCHECK":
      return { keyword, check: parseHealthcheck(clause) };
    case "ONBUILD":
      throw new SyntaxError(
        "ONBUILD is not supported: put what it triggers into the Dockerfiles that start from this image",
      );
    default:
      throw new SyntaxError(`unknown instruction ${keyword}`);
  }
}

/** The value of a flag; every flag of the instruction has to be known. */
function readFlags<Name extends string>(
  { keyword, flags }: Clause,
  ...known: Name[]
): { readonly [Key in Name]?: string } {
  for (const name of flags.keys()) {
    if (known.some((one) => one === name)) continue;
    const choice = known.length === 0 ? "it takes none" : `it takes ${known.map((one) => `--${one}`).join(", ")}`;
    throw new SyntaxError(`${keyword} --${name} is not supported: ${choice}`);
  }
  return Object.fromEntries(flags) as { readonly [Key in Name]?: string };
}

function parseFrom(clause: Clause): InstructionBody {
  const { platform } = readFlags(clause, "platform");
  const [image = "", as, stage, ...more] = splitWords(clause.rest);
  if (as !== undefined && (as.toUpperCase() !== "AS" || stage === undefined || more.length > 0)) {
    throw new SyntaxError(`FROM takes IMAGE, or IMAGE AS NAME: ${clause.rest}`);
  }
  if (stage !== undefined && !/^[a-z][a-z0-9_.-]*$/i.test(stage)) {
    throw new SyntaxError(`${stage} cannot name a stage: use letters, digits and - _ . after a first letter`);
  }
  return {
    keyword: "FROM",
    image,
    ...(platform !== undefined && { platform }),
    ...(stage !== undefined && { stage: stage.toLowerCase() }),
  };
}

function parseParameter(word: string): { readonly name: string; readonly value?: string } {
  const [name, value] = cut(word);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new SyntaxError(`${name} cannot name an argument`);
  return value === undefined ? { name } : { name, value };
}

/** `NAME=value …`, or the older `NAME value to the end of the line`. */
function parseAssignments({ keyword, rest, escape }: Clause): Assignment[] {
  const words = splitQuotedWords(rest, escape);
  const [first = "", second] = words;
  if (!first.includes("=")) {
    if (second === undefined) throw new SyntaxError(`${keyword} ${first} has no value: write ${first}=value`);
    return [[first, rest.slice(first.length).trim()]];
  }
  return words.map((word) => {
    const [name, value] = cut(word);
    if (value === undefined)
      throw new SyntaxError(`${keyword} ${word} has no value: write ${word}=value, or quote what belongs together`);
    if (name === "") throw new SyntaxError(`${keyword} ${word} has no name before =`);
    return [name, value];
  });
}

function cut(word: string): [string, string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function parseCommand(text: string): Command {
  const words = parseExecForm(text);
  return words === undefined ? { form: "shell", script: text } : { form: "exec", words };
}

function parseRunCommand({ rest, documents, restWithDocuments }: Clause): RunCommand {
  const [document] = documents;
  if (document === undefined) {
    const command = parseCommand(rest);
    if (command.form === "exec" && command.words.length === 0) throw new SyntaxError("RUN [] names no command");
    return command;
  }
  // A document alone is the script; beside other words it is the shell's to read.
  if (documents.length === 1 && /^<<-?\s*(["']?)\w+\1$/.test(rest))
    return { form: "document", content: document.content };
  return { form: "shell", script: restWithDocuments };
}

function parseNetwork(clause: Clause): "default" | "none" | "host" {
  const { network = "default" } = readFlags(clause, "network");
  if (network === "default" || network === "none" || network === "host") return network;
  throw new SyntaxError(`RUN --network=${network} is not supported: use default, none or host`);
}

function parseCopy(clause: Clause): Copy {
  const { keyword, rest, documents } = clause;
  // --link changes how another builder caches, not what comes of it.
  if (keyword === "ADD" && clause.flags.has("from"))
    throw new SyntaxError("ADD --from is not supported: use COPY --from");
  const common = ["chown", "chmod", "link"] as const;
  const { link: _, ...flags } = keyword === "ADD" ? readFlags(clause, ...common) : readFlags(clause, "from", ...common);
  const words = parseExecForm(rest) ?? splitWords(rest);
  if (keyword === "ADD" && words.some((word) => word.startsWith("<<"))) {
    throw new SyntaxError("ADD takes no documents: use COPY");
  }
  const destination = words.pop();
  const sources = words.filter((word) => !word.startsWith("<<"));
  if (destination === undefined || sources.length + documents.length === 0) {
    throw new SyntaxError(`${keyword} needs a source and a destination`);
  }
  return { ...flags, sources, documents, destination };
}

function parseHealthcheck(clause: Clause): Healthcheck | "none" {
  const flags = readFlags(clause, "interval", "timeout", "start-period", "start-interval", "retries");
  const [, kind = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(clause.rest) ?? [];
  if (kind.toUpperCase() === "NONE" && rest === "") return "none";
  if (kind.toUpperCase() !== "CMD" || rest === "") throw new SyntaxError("HEALTHCHECK takes CMD command, or NONE");
  const duration = (name: "interval" | "timeout" | "start-period" | "start-interval") =>
    flags[name] === undefined ? undefined : parseDuration(flags[name]);
  const [interval, timeout] = [duration("interval"), duration("timeout")];
  const [startPeriod, startInterval] = [duration("start-period"), duration("start-interval")];
  const { retries } = flags;
  if (retries !== undefined && !/^\d{1,6}$/.test(retries))
    throw new SyntaxError(`--retries=${retries} is not a whole number`);
  return {
    command: parseCommand(rest),
    ...(interval !== undefined && { interval }),
    ...(timeout !== undefined && { timeout }),
    ...(startPeriod !== undefined && { startPeriod }),
    ...(startInterval !== undefined && { startInterval }),
    ...(retries !== undefined && { retries: Number(retries) }),
  };
}
