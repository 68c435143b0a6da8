import { readFileSync } from "node:fs";
import { libseccomp } from "../linux/libseccomp.ts";
import { type Finding, missing, ok } from "./finding.ts";

/** The kernel filters system calls, and libseccomp is there to compile the filter. */
export function checkSeccomp(procDirectory = "/proc"): Finding[] {
  return [checkFilter(procDirectory), checkLibrary()];
}

function checkFilter(procDirectory: string): Finding {
  let actions: string;
  try {
    actions = readFileSync(`${procDirectory}/sys/kernel/seccomp/actions_avail`, "utf8").trim();
  } catch {
    return missing(
      "seccomp",
      "not in this kernel",
      "install a kernel with CONFIG_SECCOMP_FILTER, as distributions have",
    );
  }
  return ok("seccomp", actions);
}

function checkLibrary(): Finding {
  try {
    libseccomp();
  } catch (error) {
    return missing("libseccomp", String(error), "install it: apt-get install libseccomp2");
  }
  return ok("libseccomp", "libseccomp.so.2");
}
