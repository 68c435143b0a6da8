import { Command } from "commander";
import * as z from "zod";
import type { Config } from "../../../shared/config.ts";
import { workerSchema, type WorkerInfo } from "../../../shared/workers.ts";
import { createClient } from "../client.ts";
import { report } from "../report.ts";

const workersSchema = z.object({ workers: z.array(workerSchema) });

/** `longshore workers`: who is alive, and what they have. */
export function workersCommand(config: () => Config): Command {
  return new Command("workers")
    .description("list the workers that are alive")
    .option("--json", "print them as JSON")
    .action(async (options: { json?: true }) => {
      const { workers } = await createClient(config()).get("/v1/workers", workersSchema);
      if (options.json === true) process.stdout.write(`${JSON.stringify(workers, undefined, 2)}\n`);
      else if (workers.length === 0) report("no worker is alive: start one with npm run worker");
      else for (const line of tabulate(workers)) process.stdout.write(`${line}\n`);
    });
}

function tabulate(workers: readonly WorkerInfo[]): string[] {
  const rows = [
    ["WORKER", "SLOTS BUSY", "CGROUP", "KERNEL", "VOLUMES", "IMAGES"],
    ...workers.map(({ id, slots, cgroupVersion, kernel, volumes, images }) => [
      id,
      `${slots.busy}/${slots.total}`,
      `v${cgroupVersion}`,
      kernel,
      volumes.map(({ name, mode }) => `${name}:${mode}`).join(" ") || "-",
      images.map((image) => image.reference).join(" "),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
