import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** The least that a program can do: what remains is the cost of running anything at all. */
const SOURCE = "int main(void) { return 0; }\n";

/**
 * Compiles a static program that exits with 0; its source goes beside it into `directory`, named `.c`.
 * @returns its path
 * @throws {Error} when there is no compiler; the message names the way out
 */
export async function compileStaticProgram(directory: string): Promise<string> {
  const source = join(directory, "program.c");
  const program = join(directory, "program");
  await writeFile(source, SOURCE);
  try {
    await promisify(execFile)("gcc", ["-static", "-O2", "-o", program, source]);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!missing) throw error;
    const message = "gcc is not installed, and the program that is measured has to be compiled: apt-get install gcc";
    throw new Error(message, { cause: error });
  }
  return program;
}
