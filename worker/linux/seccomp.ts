/**
 * From a seccomp profile in the OCI format to a BPF program, by libseccomp.
 *
 *     profile ──▶ seccomp_init, one rule for each name and set of conditions ──▶ seccomp_export_bpf ──▶ memfd ──▶ reduced
 *
 * The bytes are an array of `struct sock_filter`; whoever attaches it points a `struct sock_fprog` at it and calls
 * seccomp(2) with SECCOMP_SET_MODE_FILTER.
 *
 * Format: https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
 */
import { closeSync, readFileSync } from "node:fs";
import { reduceBpf } from "./bpf/reduce.ts";
import { SystemCallError } from "./errno.ts";
import { libseccomp } from "./libseccomp.ts";
import { openMemoryFile } from "./memory-file.ts";

/** Values of `enum scmp_compare` by their name in a profile. */
const comparisons = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
} as const;

/** What the kernel answers (seccomp(2), SECCOMP_RET_*) by its name in a profile; the low 16 bits of some hold data. */
const actions = {
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL: 0,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
} as const;

export type SeccompAction = keyof typeof actions;
export type SeccompComparison = keyof typeof comparisons;

/** A condition on one argument of a system call. */
export interface SeccompArgument {
  /** Which argument, 0 to 5. */
  readonly index: number;
  /** What to compare with; the mask for SCMP_CMP_MASKED_EQ. */
  readonly value: number;
  /** What the masked argument has to equal. */
  readonly valueTwo?: number | undefined;
  readonly op: SeccompComparison;
}

/** What is answered to some system calls. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  /** For SCMP_ACT_ERRNO; EPERM when left out. */
  readonly errnoRet?: number | undefined;
  /** All have to hold; when one index occurs twice, any of them (as runc reads the format). */
  readonly args?: readonly SeccompArgument[] | undefined;
}

/** A seccomp profile: the part of the OCI runtime specification's `linux.seccomp` that a filter is made of. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  /** For a default of SCMP_ACT_ERRNO; EPERM when left out. */
  readonly defaultErrnoRet?: number | undefined;
  /** Names such as SCMP_ARCH_X86_64; all machines the profile is written for. Left out: any. */
  readonly architectures?: readonly string[] | undefined;
  readonly syscalls: readonly SeccompRule[];
}

const EPERM = 1;
const EEXIST = 17;
const ENOSYS = 38;
const ENOMEM = 12;

// enum scmp_filter_attr
const SCMP_FLTATR_ACT_BADARCH = 2;

/** sizeof(struct scmp_arg_cmp): the argument's index, the comparison, and two 64-bit values. */
const COMPARISON_BYTES = 24;

/** Entry points of each machine's kernel: its own first, then those of older programs. */
const entryPoints: Readonly<Record<string, readonly [string, ...string[]]>> = {
  x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

/**
 * Compiles a profile for this machine, to a program that is as short as it gets: see bpf/reduce.ts.
 * @returns the filter's instructions, an array of `struct sock_filter`
 * @throws as {@link exportSeccompFilter}
 */
export function compileSeccompProfile(profile: SeccompProfile): Uint8Array {
  return reduceBpf(exportSeccompFilter(profile));
}

/**
 * Has libseccomp compile a profile for this machine.
 *
 * Names that libseccomp or this machine does not know are skipped: they get the default. Calls through an entry point
 * that the profile does not list (i386, x32) are answered ENOSYS, as by a kernel built without it.
 *
 * @returns the filter's instructions, an array of `struct sock_filter`
 * @throws {Error} when libseccomp is missing or the profile is not for this machine
 * @throws {SystemCallError} when libseccomp refuses a rule
 */
export function exportSeccompFilter(profile: SeccompProfile): Uint8Array {
  const library = libseccomp();

  using resources = new DisposableStack();
  const defaultAction = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const filter: unknown = library.init(defaultAction);
  if (filter === null) throw new SystemCallError("seccomp_init", ENOMEM);
  resources.defer(() => library.release(filter));

  for (const name of foreignEntryPoints(profile)) {
    const result: number = library.addArchitecture(filter, library.resolveArchitecture(architectureName(name)));
    if (result !== -EEXIST) must(`seccomp_arch_add ${name}`, result);
  }
  const badArchitecture = actionValue("SCMP_ACT_ERRNO", ENOSYS);
  must("seccomp_attr_set", library.setAttribute(filter, SCMP_FLTATR_ACT_BADARCH, badArchitecture));

  for (const rule of profile.syscalls) {
    const action = actionValue(rule.action, rule.errnoRet);
    // libseccomp refuses (EACCES) rules that say what the default says.
    if (action === defaultAction) continue;
    for (const name of rule.names) {
      const number: number = library.resolveSystemCall(name);
      if (number < 0) continue;
      for (const conditions of alternatives(rule.args ?? [])) {
        const added = library.addRule(filter, action, number, conditions.length, encode(conditions));
        must(`seccomp_rule_add_array ${name}`, added);
      }
    }
  }

  const file = resources.adopt(openMemoryFile("seccomp"), closeSync);
  must("seccomp_export_bpf", library.exportBpf(filter, file));
  // By path, because the descriptor's offset is at the end.
  return readFileSync(`/proc/self/fd/${file}`);
}

/** libseccomp answers with negated errnos. */
function must(call: string, result: number): void {
  if (result < 0) throw new SystemCallError(call, -result);
}

/** The entry points besides the machine's own that the profile lets programs use. */
function foreignEntryPoints(profile: SeccompProfile): readonly string[] {
  const own = entryPoints[process.arch];
  if (own === undefined) throw new Error(`no seccomp filter for ${process.arch}: use x64 or arm64`);
  const listed = profile.architectures ?? [own[0]];
  if (!listed.includes(own[0])) throw new Error(`the seccomp profile is not for this machine: add ${own[0]}`);
  return own.slice(1).filter((name) => listed.includes(name));
}

/** `SCMP_ARCH_X86_64` is `x86_64` to libseccomp. */
function architectureName(name: string): string {
  return name.replace("SCMP_ARCH_", "").toLowerCase();
}

function actionValue(action: SeccompAction, errno: number | undefined): number {
  return action === "SCMP_ACT_ERRNO" ? actions[action] | (errno ?? EPERM) : actions[action];
}

/** The sets of conditions of which one has to hold: libseccomp takes no two on the same argument in one rule. */
function alternatives(conditions: readonly SeccompArgument[]): readonly (readonly SeccompArgument[])[] {
  const indexes = new Set(conditions.map((condition) => condition.index));
  return indexes.size === conditions.length ? [conditions] : conditions.map((condition) => [condition]);
}

function encode(conditions: readonly SeccompArgument[]): Buffer {
  const buffer = Buffer.alloc(COMPARISON_BYTES * Math.max(1, conditions.length));
  for (const [position, { index, value, valueTwo, op }] of conditions.entries()) {
    const offset = position * COMPARISON_BYTES;
    buffer.writeUInt32LE(index, offset);
    buffer.writeUInt32LE(comparisons[op], offset + 4);
    buffer.writeBigUInt64LE(BigInt(value), offset + 8);
    buffer.writeBigUInt64LE(BigInt(valueTwo ?? 0), offset + 16);
  }
  return buffer;
}
