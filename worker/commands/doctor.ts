/**
 * Checks whether this machine can run containers, and says what degrades and why: `longshore doctor`.
 *
 *   node worker/commands/doctor.ts [--json] [--quiet] [--without CHECK]…
 *
 * Exit code 1 when something is missing that containers cannot do without.
 */
import { styleText } from "node:util";
import { Command } from "commander";
import { type Config, loadConfig } from "../../shared/config.ts";
import { checkCgroups } from "../doctor/cgroups.ts";
import { checkCores } from "../doctor/cores.ts";
import { checkDisk } from "../doctor/disk.ts";
import type { Finding } from "../doctor/finding.ts";
import { checkIdmappedMounts } from "../doctor/idmapped-mounts.ts";
import { checkKernel } from "../doctor/kernel.ts";
import { checkOverlay } from "../doctor/overlay.ts";
import { checkPrivileges } from "../doctor/privileges.ts";
import { checkRedis } from "../doctor/redis.ts";
import { checkSeccomp } from "../doctor/seccomp.ts";
import { checkSystemCalls } from "../doctor/system-calls.ts";
import { checkUserNamespaces } from "../doctor/user-namespaces.ts";
import { checkVolumes } from "../doctor/volumes.ts";

const checks = {
  kernel: () => checkKernel(),
  privileges: () => checkPrivileges(),
  "system-calls": () => checkSystemCalls(),
  "user-namespaces": () => checkUserNamespaces(),
  overlay: () => checkOverlay(),
  "idmapped-mounts": (config) => checkIdmappedMounts(config.dataDirectory, config.idBase),
  volumes: (config) => checkVolumes(config.volumes, config.idBase),
  seccomp: () => checkSeccomp(),
  cgroups: () => checkCgroups(),
  cores: (config) => checkCores(config),
  redis: (config) => checkRedis({ dataDirectory: config.dataDirectory, url: process.env["REDIS_URL"] }),
  disk: (config) => checkDisk(config.dataDirectory),
} satisfies Record<string, (config: Config) => Finding | Finding[] | Promise<Finding>>;

const colors = { ok: "green", degraded: "yellow", missing: "red" } as const;

function print(finding: Finding): void {
  const word = styleText(colors[finding.status], finding.status.padEnd(8), { stream: process.stdout });
  console.log(`${word}  ${finding.name.padEnd(16)}  ${finding.detail}`);
  if (finding.status === "ok") return;
  const indent = " ".repeat(28);
  console.log(`${indent}${finding.effect}`);
  console.log(`${indent}way out: ${finding.wayOut}`);
}

interface Options {
  readonly json?: true;
  readonly quiet?: true;
  readonly without?: readonly string[];
}

async function main(options: Options): Promise<void> {
  const config = loadConfig(process.env);
  const findings: Finding[] = [];
  for (const [name, check] of Object.entries(checks)) {
    if (options.without?.includes(name) !== true) findings.push(...[await check(config)].flat());
  }
  if (options.json === true) console.log(JSON.stringify(findings, undefined, 2));
  else for (const finding of findings) if (options.quiet !== true || finding.status === "missing") print(finding);
  if (findings.some((finding) => finding.status === "missing")) process.exitCode = 1;
}

const command = new Command("doctor")
  .description("check the machine: what containers need of it, what degrades and why")
  .option("--json", "print the findings as JSON")
  .option("--quiet", "print only what is missing")
  .option("--without <check>", `leave a check out: ${Object.keys(checks).join(", ")}`, collect)
  .action(main);

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

try {
  await command.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
