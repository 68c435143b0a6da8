import type { ImageConfig } from "../oci.ts";
import { type BuildPlan, platformArguments, PROXY_ARGUMENTS } from "./stages.ts";

/** The settings of an image, as its configuration holds them; what is unknown here is kept. */
export type Settings = ImageConfig["config"];

/** What the instructions of a stage have settled so far. A value: each instruction makes a new one. */
export interface StageState {
  readonly settings: Settings;
  /** ENV, in order of first mention. */
  readonly environment: ReadonlyMap<string, string>;
  /** ARGs of this stage that have a value. */
  readonly arguments: ReadonlyMap<string, string>;
  /** What the shell form is handed to. */
  readonly shell: readonly string[];
  /** Whether CMD was in this stage: an ENTRYPOINT drops one that comes from below. */
  readonly command: "own" | "inherited";
  readonly author: string | undefined;
}

/** What the build was started with, for the ARGs of any stage. */
export interface BuildValues {
  readonly escape: string;
  readonly given: ReadonlyMap<string, string>;
  readonly globalArguments: ReadonlyMap<string, string>;
  /** The network of steps that do not choose for themselves; steps may choose less, never more. */
  readonly network: "none" | "host";
}

const DEFAULT_SHELL = ["/bin/sh", "-c"];

/** Where commands are looked up in an image that says nothing about it. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The state of a stage right after its FROM. */
export function beginStage(base: ImageConfig | undefined): StageState {
  const settings = base?.config ?? {};
  const shell = settings["Shell"];
  const author = base?.["author"];
  return {
    settings,
    environment: new Map((settings.Env ?? []).map(cutAssignment)),
    arguments: new Map(),
    shell: Array.isArray(shell) && shell.every((word) => typeof word === "string") ? shell : DEFAULT_SHELL,
    command: "inherited",
    author: typeof author === "string" ? author : undefined,
  };
}

function cutAssignment(entry: string): [string, string] {
  const equals = entry.indexOf("=");
  return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** The state of a stage that starts where another ended: its ARGs are its own. */
export function continueStage(state: StageState): StageState {
  return { ...state, arguments: new Map(), command: "inherited" };
}

/** The value that an ARG has without a default of its own. */
export function argumentValue(name: string, values: BuildValues): string | undefined {
  return values.given.get(name) ?? values.globalArguments.get(name) ?? platformArguments().get(name);
}

/** The values of a build, from its plan. */
export function buildValues(
  plan: BuildPlan,
  given: ReadonlyMap<string, string>,
  network: "none" | "host",
): BuildValues {
  return { escape: plan.escape, given, globalArguments: plan.globalArguments, network };
}

/** Environment of a step: ENV over ARGs, and a PATH in any case. */
export function stepEnvironment(state: StageState): Record<string, string> {
  return { PATH: DEFAULT_PATH, ...Object.fromEntries(state.arguments), ...Object.fromEntries(state.environment) };
}

/** Proxies that were given to the build. */
export function givenProxies({ given }: BuildValues): Record<string, string> {
  return Object.fromEntries(
    PROXY_ARGUMENTS.flatMap((name) => (given.has(name) ? [[name, given.get(name) ?? ""]] : [])),
  );
}
