/** Which stages of a Dockerfile are built, in which order, and what each starts from. */
import { hostArchitecture } from "../oci.ts";
import { DockerfileError } from "./error.ts";
import { expand } from "./expand.ts";
import type { Dockerfile, Instruction } from "./instruction.ts";

/** What a stage starts from, or what COPY takes files from. */
export type Origin =
  | { readonly kind: "scratch" }
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "image"; readonly reference: string };

type FromInstruction = Extract<Instruction, { keyword: "FROM" }>;

/** A FROM and what follows it. */
export interface Stage {
  /** Position among all stages of the file, from 0. */
  readonly index: number;
  readonly name: string | undefined;
  readonly from: FromInstruction;
  readonly origin: Origin;
  readonly instructions: readonly Exclude<Instruction, FromInstruction>[];
  /** What each `COPY --from` of the stage means. */
  readonly copiesFrom: ReadonlyMap<string, Origin>;
}

/** What is to be done for a target. */
export interface BuildPlan {
  readonly file: string;
  readonly escape: string;
  /** The stages that the target needs, each after what it needs; the last is the target. */
  readonly stages: readonly Stage[];
  /** ARGs from before the first FROM: an ARG without a default in a stage takes its value from here. */
  readonly globalArguments: ReadonlyMap<string, string>;
  /** Build arguments that no ARG takes. */
  readonly unusedArguments: readonly string[];
}

export interface PlanOptions {
  /** Values for ARGs, by name. */
  readonly arguments?: ReadonlyMap<string, string>;
  /** Name or number of the stage to stop at; the last unless stated. */
  readonly target?: string;
}

/** Arguments that RUN always gets when they are given, without an ARG; they never reach an image or a cache key. */
export const PROXY_ARGUMENTS: readonly string[] = [
  "http_proxy",
  "https_proxy",
  "ftp_proxy",
  "no_proxy",
  "all_proxy",
].flatMap((name) => [name, name.toUpperCase()]);

/** Arguments that tell about the platform, which is this machine's. */
export function platformArguments(): ReadonlyMap<string, string> {
  const architecture = hostArchitecture();
  return new Map(
    ["BUILD", "TARGET"].flatMap((role) => [
      [`${role}PLATFORM`, `linux/${architecture}`],
      [`${role}OS`, "linux"],
      [`${role}ARCH`, architecture],
    ]),
  );
}

/**
 * Plans a build.
 * @throws {DockerfileError} for a stage or a platform that there is not
 */
export function planBuild({ file, escape, instructions }: Dockerfile, options: PlanOptions = {}): BuildPlan {
  const given = options.arguments ?? new Map<string, string>();
  const firstFrom = instructions.findIndex(({ keyword }) => keyword === "FROM");
  const globalArguments = declareGlobally(instructions.slice(0, firstFrom), given, { file, escape });
  const all = readStages(instructions.slice(firstFrom), globalArguments, { file, escape });
  const target = findTarget(all, options.target, file);
  const declared = new Set(
    instructions.flatMap((one) => (one.keyword === "ARG" ? one.parameters.map(({ name }) => name) : [])),
  );
  return {
    file,
    escape,
    stages: neededFor(all, target),
    globalArguments,
    unusedArguments: [...given.keys()].filter((name) => !declared.has(name) && !PROXY_ARGUMENTS.includes(name)),
  };
}

interface FileFacts {
  readonly file: string;
  readonly escape: string;
}

function declareGlobally(
  instructions: readonly Instruction[],
  given: ReadonlyMap<string, string>,
  facts: FileFacts,
): ReadonlyMap<string, string> {
  const values = new Map(platformArguments());
  for (const instruction of instructions) {
    if (instruction.keyword !== "ARG") continue;
    for (const { name, value } of instruction.parameters) {
      const chosen = given.get(name) ?? (value === undefined ? undefined : expandIn(instruction, value, values, facts));
      if (chosen !== undefined) values.set(name, chosen);
    }
  }
  return values;
}

function expandIn(
  { line }: Instruction,
  text: string,
  values: ReadonlyMap<string, string>,
  { file, escape }: FileFacts,
): string {
  try {
    return expand(text, escape, (name) => values.get(name));
  } catch (error) {
    if (error instanceof SyntaxError) throw new DockerfileError(file, line, error.message);
    throw error;
  }
}

function readStages(
  instructions: readonly Instruction[],
  values: ReadonlyMap<string, string>,
  facts: FileFacts,
): Stage[] {
  const stages: Stage[] = [];
  let instructionsOfStage: Exclude<Instruction, FromInstruction>[] = [];
  let copiesFrom = new Map<string, Origin>();
  for (const instruction of instructions) {
    if (instruction.keyword !== "FROM") {
      instructionsOfStage.push(instruction);
      if (instruction.keyword === "COPY" && instruction.from !== undefined) {
        copiesFrom.set(instruction.from, copyOrigin(instruction.from, stages, instruction, facts));
      }
      continue;
    }
    checkPlatform(instruction, values, facts);
    const image = expandIn(instruction, instruction.image, values, facts);
    if (image === "")
      throw new DockerfileError(facts.file, instruction.line, `${instruction.image} is empty: give its ARG a value`);
    instructionsOfStage = [];
    copiesFrom = new Map();
    stages.push({
      index: stages.length,
      name: instruction.stage,
      from: instruction,
      origin:
        image === "scratch" ? { kind: "scratch" } : (stageNamed(image, stages) ?? { kind: "image", reference: image }),
      instructions: instructionsOfStage,
      copiesFrom,
    });
  }
  return stages;
}

/** Programs of another architecture cannot run here. */
function checkPlatform(from: FromInstruction, values: ReadonlyMap<string, string>, facts: FileFacts): void {
  if (from.platform === undefined) return;
  const [system, architecture, ...rest] = expandIn(from, from.platform, values, facts).split("/");
  const own = hostArchitecture();
  if (system === "linux" && (architecture === undefined || architecture === own) && rest.length === 0) return;
  throw new DockerfileError(
    facts.file,
    from.line,
    `--platform=${from.platform} is not this machine's: only linux/${own} is built here`,
  );
}

function stageNamed(name: string, earlier: readonly Stage[]): Origin | undefined {
  const stage = earlier.findLast((one) => one.name === name.toLowerCase());
  return stage && { kind: "stage", index: stage.index };
}

/** Stages by name or number, else an image. The stage that is being read stands last and cannot copy from itself. */
function copyOrigin(from: string, stages: readonly Stage[], instruction: Instruction, { file }: FileFacts): Origin {
  const earlier = stages.slice(0, -1);
  if (/^\d+$/.test(from)) {
    if (Number(from) < earlier.length) return { kind: "stage", index: Number(from) };
    throw new DockerfileError(
      file,
      instruction.line,
      `--from=${from}: there are ${earlier.length} stages before this one`,
    );
  }
  if (from.includes("$")) {
    throw new DockerfileError(
      file,
      instruction.line,
      `--from=${from}: variables are not replaced here: name a stage, and use the variable in its FROM`,
    );
  }
  if (stages.at(-1)?.name === from.toLowerCase()) {
    throw new DockerfileError(file, instruction.line, `--from=${from} is the stage itself`);
  }
  return stageNamed(from, earlier) ?? { kind: "image", reference: from };
}

function findTarget(stages: readonly Stage[], target: string | undefined, file: string): Stage {
  const found =
    target === undefined
      ? stages.at(-1)
      : (stages.findLast(({ name }) => name === target.toLowerCase()) ??
        (/^\d+$/.test(target) ? stages[Number(target)] : undefined));
  if (found !== undefined) return found;
  const names = stages.map(({ name, index }) => name ?? String(index)).join(", ");
  throw new DockerfileError(file, 1, `there is no stage ${target}: there are ${names}`);
}

function neededFor(stages: readonly Stage[], target: Stage): Stage[] {
  const needed = new Set<number>();
  const visit = ({ index, origin, copiesFrom }: Stage): void => {
    if (needed.has(index)) return;
    needed.add(index);
    for (const one of [origin, ...copiesFrom.values()]) {
      const stage = one.kind === "stage" ? stages[one.index] : undefined;
      if (stage !== undefined) visit(stage);
    }
  };
  visit(target);
  // A stage only ever needs earlier ones, so the order of the file will do.
  return stages.filter(({ index }) => needed.has(index));
}
