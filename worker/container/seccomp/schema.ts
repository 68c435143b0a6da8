import { z } from "zod";
import type { SeccompArgument, SeccompProfile, SeccompRule } from "../../linux/seccomp.ts";

const comment = z.string().optional();

const action = z.enum([
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_KILL",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_LOG",
  "SCMP_ACT_ALLOW",
]);

/** The kernel cuts errors above MAX_ERRNO. */
const errno = z.int().min(0).max(4095).optional();

const word = z.int().min(0);

const argument = z.strictObject({
  index: z.int().min(0).max(5),
  value: word,
  valueTwo: word.optional(),
  op: z.enum([
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
  ]),
}) satisfies z.ZodType<SeccompArgument>;

const rule = z.strictObject({
  comment,
  names: z.array(z.string().regex(/^[a-z_][a-z0-9_]*$/)).min(1),
  action,
  errnoRet: errno,
  args: z.array(argument).optional(),
}) satisfies z.ZodType<SeccompRule>;

/**
 * A seccomp profile: `linux.seccomp` of the OCI runtime specification, with comments, without what needs a listener
 * process (SCMP_ACT_NOTIFY, SCMP_ACT_TRACE) or flags of seccomp(2).
 *
 * Besides the form it refuses what libseccomp accepts and then reads otherwise than the author meant: a rule with
 * conditions beside an unconditional one for the same system call is dropped without a word, and of two unconditional
 * ones with different actions one wins.
 */
export const seccompProfileSchema = z
  .strictObject({
    comment,
    defaultAction: action,
    defaultErrnoRet: errno,
    architectures: z.array(z.string().startsWith("SCMP_ARCH_")).min(1).optional(),
    syscalls: z.array(rule),
  })
  .superRefine((profile, context) => {
    const unconditional = new Map<string, number>();
    const conditional = new Map<string, number>();
    for (const [index, { names, args = [] }] of profile.syscalls.entries()) {
      const vacuous = args.some((one) => one.op === "SCMP_CMP_MASKED_EQ" && one.value === 0);
      const always = args.length === 0 || vacuous;
      for (const name of names) {
        const rival = unconditional.get(name) ?? (always ? conditional.get(name) : undefined);
        if (rival !== undefined) {
          const message = `${name} has an unconditional rule and another one (${rival}): keep one of them`;
          context.addIssue({ code: "custom", path: ["syscalls", index, "names"], message });
        }
        (always ? unconditional : conditional).set(name, index);
      }
    }
  }) satisfies z.ZodType<SeccompProfile>;
