import { compileSeccompProfile, type SeccompProfile } from "../../linux/seccomp.ts";
import document from "./profile.json" with { type: "json" };
import { seccompProfileSchema } from "./schema.ts";

/** The profile of every container: default-deny, for programs in C, C++, Go, Java, JavaScript, Python, Rust and shell. */
export const defaultSeccompProfile: SeccompProfile = seccompProfileSchema.parse(document);

let compiled: Uint8Array | undefined;

/**
 * The default profile as a BPF program for this machine, made at the first call (about 4 ms): the worker calls it once
 * at its start and hands the bytes to its slots.
 * @throws {Error} when libseccomp is missing
 */
export function defaultSeccompFilter(): Uint8Array {
  compiled ??= compileSeccompProfile(defaultSeccompProfile);
  return compiled;
}
