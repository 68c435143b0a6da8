import { compileSeccompProfile, type SeccompProfile } from "../../linux/seccomp.ts";
import document from "./profile.json" with { type: "json" };
import { seccompProfileSchema } from "./schema.ts";

/** The profile of every container: default-deny, for programs in C, C++, Go, Java, JavaScript, Python, Rust and shell. */
export const defaultSeccompProfile: SeccompProfile = seccompProfileSchema.parse(document);

/** All calls that make a socket, but for those that take one over from another. */
const SOCKET_CALLS: readonly string[] = ["socket", "socketpair"];

/** What steps of image builds may do besides: packages bring programs with file capabilities. */
const BUILD_CALLS: readonly string[] = ["fsetxattr", "lsetxattr", "setxattr", "setxattrat"];

let compiled: Uint8Array | undefined;
let compiledForBuilds: Uint8Array | undefined;

/**
 * The default profile as a BPF program for this machine, made at the first call (about 10 ms): the worker calls it once
 * at its start and hands the bytes to its slots. Of the sockets that the profile allows, the slot is asked for each
 * (slot/socket-watch.ts): without a listener, there are none.
 * @throws {Error} when libseccomp is missing
 */
export function defaultSeccompFilter(): Uint8Array {
  compiled ??= compileSeccompProfile(withSocketsAskedFor(defaultSeccompProfile));
  return compiled;
}

/** The same for steps of image builds. @throws {Error} when libseccomp is missing */
export function buildSeccompFilter(): Uint8Array {
  compiledForBuilds ??= compileSeccompProfile(withSocketsAskedFor(withAllowed(defaultSeccompProfile, BUILD_CALLS)));
  return compiledForBuilds;
}

function withAllowed(profile: SeccompProfile, names: readonly string[]): SeccompProfile {
  const others = profile.syscalls.map((rule) => ({
    ...rule,
    names: rule.names.filter((name) => !names.includes(name)),
  }));
  return { ...profile, syscalls: [...others, { names, action: "SCMP_ACT_ALLOW" }] };
}

function withSocketsAskedFor(profile: SeccompProfile): SeccompProfile {
  const syscalls = profile.syscalls.flatMap((rule) => {
    const asked = rule.action === "SCMP_ACT_ALLOW" ? rule.names.filter((name) => SOCKET_CALLS.includes(name)) : [];
    const others = rule.names.filter((name) => !asked.includes(name));
    return [
      { ...rule, names: others },
      { ...rule, names: asked, action: "SCMP_ACT_NOTIFY" as const },
    ];
  });
  return { ...profile, syscalls };
}
