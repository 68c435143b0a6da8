/**
 * A Dockerfile as data: what each instruction says, word for word, before any variable is replaced.
 * The language: https://docs.docker.com/reference/dockerfile/
 */

/** What a program is started with: words as they are, or a script for the shell in force. */
export type Command =
  { readonly form: "exec"; readonly words: readonly string[] } | { readonly form: "shell"; readonly script: string };

/** A document in the Dockerfile itself. */
export interface Heredoc {
  readonly name: string;
  readonly content: string;
  /** A quoted delimiter keeps the content as it is. */
  readonly variables: "replaced" | "kept";
}

/** What RUN executes: a command, or a document, which is a script of the shell's or of its first line's interpreter. */
export type RunCommand = Command | { readonly form: "document"; readonly content: string };

/** Whether a step may use the network: `default` is what the build was started with. */
export type StepNetwork = "default" | "none" | "host";

/** HEALTHCHECK in nanoseconds, as image configurations hold it. */
export interface Healthcheck {
  readonly command: Command;
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}

export type Assignment = readonly [name: string, value: string];

/** The parts of COPY and ADD. */
export interface Copy {
  readonly sources: readonly string[];
  readonly documents: readonly Heredoc[];
  readonly destination: string;
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
}

export type InstructionBody =
  | { readonly keyword: "FROM"; readonly image: string; readonly platform?: string; readonly stage?: string }
  | { readonly keyword: "ARG"; readonly parameters: readonly { readonly name: string; readonly value?: string }[] }
  | { readonly keyword: "ENV" | "LABEL"; readonly assignments: readonly Assignment[] }
  | { readonly keyword: "RUN"; readonly command: RunCommand; readonly network: StepNetwork }
  | ({ readonly keyword: "COPY" | "ADD" } & Copy)
  | { readonly keyword: "CMD" | "ENTRYPOINT"; readonly command: Command }
  | { readonly keyword: "SHELL"; readonly words: readonly string[] }
  | { readonly keyword: "EXPOSE" | "VOLUME"; readonly words: readonly string[] }
  | { readonly keyword: "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER"; readonly value: string }
  | { readonly keyword: "HEALTHCHECK"; readonly check: Healthcheck | "none" };

/** One instruction, and where it stands. */
export type Instruction = InstructionBody & {
  /** From 1. */
  readonly line: number;
  /** The instruction on one line, as histories and progress show it. */
  readonly text: string;
};

/** A Dockerfile that could be read. */
export interface Dockerfile {
  /** The name that errors begin with. */
  readonly file: string;
  /** What keeps the next character from being special: a backslash, unless a directive says otherwise. */
  readonly escape: string;
  readonly instructions: readonly Instruction[];
}
