import { readFileSync } from "node:fs";
import { type Finding, missing, ok } from "./finding.ts";

const NAME = "user namespaces";

/** Linux has user namespaces, and the administrator allows any. */
export function checkUserNamespaces(procDirectory = "/proc"): Finding {
  const maximum = readNumber(`${procDirectory}/sys/user/max_user_namespaces`);
  if (maximum === undefined) {
    return missing(NAME, "not in this kernel", "install a kernel with CONFIG_USER_NS, as distributions have");
  }
  if (maximum === 0) {
    return missing(NAME, "user.max_user_namespaces is 0", "allow them: sysctl -w user.max_user_namespaces=10000");
  }
  return ok(NAME, `at most ${maximum}`);
}

function readNumber(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
