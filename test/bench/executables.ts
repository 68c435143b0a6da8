import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Where administrators' programs are, which a user's PATH may not list. */
const MORE_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The path of a program that is installed. */
export function findExecutable(name: string): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_DIRECTORIES];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first line of what a program says about its version; undefined when it is not installed. */
export async function versionOf(name: string): Promise<string | undefined> {
  const path = findExecutable(name);
  if (path === undefined) return undefined;
  const { stdout } = await promisify(execFile)(path, ["--version"]);
  return stdout.split("\n", 1)[0];
}
