/**
 * A job of kind `judge`: a program is compiled once, run on many inputs, and what it prints is compared with what is
 * expected.
 */
import * as z from "zod";
import { textSchema } from "./content.ts";
import { createLimitsSchema, type Limits, type PartialLimits } from "./limits.ts";
import { checkCases, checkFiles, checkGroups, judgeBounds } from "./judge-request-rules.ts";
import { requestBounds } from "./job-request-rules.ts";
import { argumentSchema } from "./process-fields.ts";
import { blobDigestSchema, contentSchema, fileSchema, priorities } from "./request-fields.ts";

/** What a submission may print unless the request says otherwise, in bytes; it goes to the worker's disk. */
const OUTPUT_BYTES = 64 * 1024 * 1024;

const MILLION = 1_000_000;

/**
 * The largest limits of a program that is judged. Its output is a file of the worker's, which no result has to carry: so
 * it may be as large as a file.
 */
export function judgeMaxima(maxima: Limits): Limits {
  return { ...maxima, outputBytes: Math.max(maxima.outputBytes, maxima.fileBytes) };
}

/** What {@link resolveLimits} falls back to for a program that is judged. */
export function judgeDefaults(preset: PartialLimits): PartialLimits {
  return { outputBytes: OUTPUT_BYTES, ...preset };
}

const dataSchema = z
  .union([contentSchema, z.strictObject({ blob: blobDigestSchema })])
  .meta({ id: "CaseData", description: "text, encoded bytes, or the digest of a blob" });

/** Names end up in reports and on terminals, which have no NUL either. */
const nameSchema = argumentSchema.min(1).max(128);

const pointsSchema = z.number().min(0).max(MILLION);

const toleranceSchema = z.number().min(0).max(MILLION);

/** A program that is compiled and run: the fields are those of a run. */
function programFields(maxima: Limits) {
  return {
    language: textSchema.min(1).max(64),
    source: textSchema.optional().meta({ description: "contents of the preset's main file" }),
    files: z.array(fileSchema).max(requestBounds.files).default([]),
    limits: createLimitsSchema(maxima).default({}),
  };
}

function createCheckerSchema(maxima: Limits) {
  return z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("exact").meta({ description: "byte for byte" }) }),
      z.strictObject({
        type: z.literal("lines").meta({
          description: "line by line; white space at the end of a line, and empty lines at the end, count for nothing",
        }),
      }),
      z.strictObject({ type: z.literal("tokens").meta({ description: "what white space separates, in order" }) }),
      z.strictObject({
        type: z.literal("float").meta({ description: "token by token; numbers may differ by a tolerance" }),
        tolerance: toleranceSchema.default(1e-6).meta({ description: "of both, where they are not given" }),
        absolute: toleranceSchema.optional(),
        relative: toleranceSchema.optional().meta({ description: "to the number that is expected" }),
      }),
      z
        .strictObject({ type: z.literal("program"), ...programFields(maxima) })
        .superRefine(checkFiles)
        .meta({
          description:
            "a program with the paths of input, output and expected output as its arguments; it answers by its exit " +
            "code as testlib has it: 0 accepted, 1 wrong, 2 presentation, 3 the checker's own failure, 7 points",
        }),
    ])
    .meta({ id: "Checker" });
}

function createCaseSchema(maxima: Limits) {
  return z
    .strictObject({
      name: nameSchema,
      stdin: dataSchema.default(""),
      expected: dataSchema.default("").meta({ description: "never in the container of the submission" }),
      limits: createLimitsSchema(judgeMaxima(maxima)).default({}).meta({ description: "over those of the request" }),
      points: pointsSchema.default(1),
      group: nameSchema.optional(),
    })
    .meta({ id: "JudgeCase" });
}

const groupSchema = z
  .strictObject({
    name: nameSchema,
    points: pointsSchema.optional().meta({
      description: "for the whole group, by the share of its worst case; when not given, its cases' points add up",
    }),
    dependsOn: z
      .array(nameSchema)
      .max(judgeBounds.groups)
      .default([])
      .meta({ description: "groups without whose acceptance this one is skipped; their cases come before its own" }),
  })
  .meta({ id: "JudgeGroup" });

export function createJudgeRequestSchema(maxima: Limits) {
  return z
    .strictObject({
      kind: z.literal("judge"),
      ...programFields(judgeMaxima(maxima)),
      cases: z.array(createCaseSchema(maxima)).min(1).max(judgeBounds.cases),
      groups: z.array(groupSchema).max(judgeBounds.groups).default([]).meta({
        description: "of the cases' groups, those that have points of their own or depend on others",
      }),
      checker: createCheckerSchema(maxima).optional().meta({ description: "tokens when not given" }),
      interactor: z
        .strictObject(programFields(maxima))
        .superRefine(checkFiles)
        .optional()
        .meta({
          description:
            "a program that talks with the submission, each reading what the other prints; it has the arguments of a " +
            "checker, where it may write the output, and answers in its place",
        }),
      stopOn: z.enum(["first-failure", "group-failure", "never"]).default("never").meta({
        description: "what makes later cases be skipped: any case, or one of their group, that was not accepted",
      }),
      repeat: z.int().min(1).max(judgeBounds.repeat).default(1).meta({ description: "how often each case is run" }),
      priority: z.enum(priorities).default("normal"),
    })
    .superRefine(checkFiles)
    .superRefine(checkCases)
    .superRefine(checkGroups)
    .meta({ id: "JudgeRequest", description: "one program judged on many cases" });
}

/** A request that has been checked; its limits hold only what was asked for. */
export type CheckedJudgeRequest = z.output<ReturnType<typeof createJudgeRequestSchema>>;

type CheckedProgram = NonNullable<CheckedJudgeRequest["interactor"]>;
type CheckedChecker = NonNullable<CheckedJudgeRequest["checker"]>;

type WithLimits<Type> = Omit<Type, "limits"> & { readonly limits: Limits };

/** A program with every limit set. */
export type JudgeProgram = WithLimits<CheckedProgram>;

/** How output is compared without a program. */
export type ComparisonRule = Exclude<CheckedChecker, { type: "program" }>;

export type JudgeChecker = ComparisonRule | (JudgeProgram & { readonly type: "program" });

export type JudgeCase = WithLimits<CheckedJudgeRequest["cases"][number]>;
export type JudgeGroup = CheckedJudgeRequest["groups"][number];

/** Bytes, or the blob that has them. */
export type CaseData = JudgeCase["stdin"];

/** What a worker is handed, with every limit set. */
export type JudgeRequest = Omit<CheckedJudgeRequest, "limits" | "cases" | "checker" | "interactor"> & {
  readonly limits: Limits;
  readonly cases: readonly JudgeCase[];
  readonly checker: JudgeChecker;
  readonly interactor?: JudgeProgram | undefined;
};
