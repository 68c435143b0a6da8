import { mkdir, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import type { OutputFileEntry } from "../../shared/job-result.ts";
import type { Client } from "./client.ts";
import { report } from "./report.ts";

/** The part of a job that says what it returned. */
export interface ReturnedFiles {
  readonly id: string;
  readonly outputs: readonly OutputFileEntry[];
}

/**
 * Fetches the files that a job returned into a directory.
 *
 * Their names were chosen by a program that nobody trusts, so they go below a directory of their own by default,
 * where no `.git/hooks` or `.bashrc` waits, and a name that leads out of it is refused whatever the server said.
 */
export async function saveOutputs(
  client: Pick<Client, "output">,
  job: ReturnedFiles,
  directory: string,
): Promise<void> {
  for (const output of job.outputs) {
    if ("error" in output) {
      report(`${output.path} was not returned: ${output.error}`);
      continue;
    }
    const path = normalize(output.path);
    if (isAbsolute(path) || path === ".." || path.startsWith("../")) {
      throw new Error(
        `the server returned a file with the path ${JSON.stringify(output.path)}: nothing is written there`,
      );
    }
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, await client.output(job.id, output.path));
    report(`saved ${target} (${output.bytes} bytes)`);
  }
}
