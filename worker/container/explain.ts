import type { Argument, Step, Word } from "./plan/step.ts";

const ACTOR_TITLES = {
  slot: "the slot, a thread of the worker",
  launcher: "the launcher, a new process",
  init: "init, process 1 of the container",
  payload: "the payload, which becomes the command",
} as const;

/** Longer strings are cut, as strace does. */
const STRING_MAX = 64;

/**
 * A plan for people: a line for each system call in strace's style, under the process that makes it and what it is for.
 * Results are named by the step that returns them: `@12` is what step 12 returned.
 */
export function explainSteps(steps: readonly Step[]): string {
  const indexes = new Map(steps.map((step, index) => [step, index]));
  const lines: string[] = [];
  let last: Step | undefined;
  for (const [index, step] of steps.entries()) {
    if (step.actor !== last?.actor) lines.push(...(last === undefined ? [] : [""]), `# ${ACTOR_TITLES[step.actor]}`);
    if (step.actor !== last?.actor || step.purpose !== last.purpose) lines.push(`## ${step.purpose}`);
    lines.push(`${String(index).padStart(4)}  ${explainStep(step, indexes)}`);
    last = step;
  }
  return `${lines.join("\n")}\n`;
}

function explainStep(step: Step, indexes: ReadonlyMap<Step, number>): string {
  const name = (of: Step): string => `@${indexes.get(of) ?? "?"}`;
  const call = `${step.call}(${step.arguments.map((argument) => explainArgument(argument, name)).join(", ")})`;
  switch (step.control.kind) {
    case "must succeed":
      return call;
    case "may fail":
      return `${call}  or go on`;
    case "must return":
      return `${call} = ${step.control.value}`;
    case "fork":
      return `${call}  the child goes on with the next step, the parent with its own next one`;
    case "until":
      return `${call}  until it returns ${name(step.control.step)}`;
    case "go on":
      return `${call}  and wait until the slot has made its next steps`;
    default:
      return step.control satisfies never;
  }
}

function explainArgument(argument: Argument, name: (step: Step) => string): string {
  if (typeof argument !== "object") return String(argument);
  switch (argument.kind) {
    case "constant":
      return argument.text;
    case "string":
      return quote(argument.text);
    case "strings":
      return `[${argument.list.map(quote).join(", ")}]`;
    case "bytes":
    case "room":
      return argument.text.startsWith("{") || argument.text.startsWith("[") ? argument.text : `<${argument.text}>`;
    case "words":
      return `${argument.text}${explainDescriptors(argument.words, name)}`;
    case "program":
      return `{len=${argument.instructions.byteLength / 8}, filter=<the compiled profile>}`;
    case "result":
      return name(argument.step);
    case "held":
      return `<${argument.text}>`;
    default:
      return argument satisfies never;
  }
}

/** Which descriptors a struct names. */
function explainDescriptors(words: readonly Word[], name: (step: Step) => string): string {
  const descriptors = words.flatMap((word) => {
    if (typeof word !== "object" || "addressOf" in word) return [];
    return [explainArgument("low" in word ? word.low : word, name)];
  });
  return descriptors.length === 0 ? "" : ` /* ${descriptors.join(", ")} */`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > STRING_MAX ? `${text.slice(0, STRING_MAX)}…` : text);
}
