import { readFileSync } from "node:fs";
import { type Finding, missing, ok } from "./finding.ts";

/** linux/capability.h: those that the set-up of a container uses on the host's side. */
const REQUIRED = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
} as const;

/** Root, with what containers are made with: a container that Longshore itself runs in may have dropped it. */
export function checkPrivileges(status = readFileSync("/proc/self/status", "utf8")): Finding {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const absent = Object.entries(REQUIRED)
    .filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  if (absent.length === 0) return ok("privileges", "root, with all capabilities that containers are made with");
  return missing(
    "privileges",
    `without ${absent.join(", ")}`,
    "run as root; inside of another container engine add these capabilities, e.g. docker run --privileged",
  );
}
