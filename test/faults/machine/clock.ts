import { execFile } from "node:child_process";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const SOURCE = join(import.meta.dirname, "shift-clock.c");

/**
 * Wall clocks of single programs, which can jump while these run.
 *
 * What the C library answers is shifted, about CLOCK_REALTIME only: that is what a jump of the machine's clock is, too,
 * as the monotonic clock goes on (clock_gettime(2)). No time namespace can do it: those have offsets of the monotonic and
 * the boot clock only, which nobody can change once they have a process (time_namespaces(7)). The machine's own clock
 * belongs to all who use the machine.
 */
export class ClockWorkshop {
  readonly #directory: string;
  readonly #library: string;

  private constructor(directory: string, library: string) {
    this.#directory = directory;
    this.#library = library;
  }

  /** @param directory for the clocks' files */
  static async open(directory: string): Promise<ClockWorkshop> {
    const library = join(directory, "shift-clock.so");
    await promisify(execFile)("gcc", ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, SOURCE]);
    return new ClockWorkshop(directory, library);
  }

  /** Makes a clock that shows the machine's time, until it is told otherwise. */
  make(name: string): ProgramClock {
    return new ProgramClock(join(this.#directory, name), this.#library);
  }
}

/** The wall clock of a program that is started with its environment. */
export class ProgramClock {
  readonly environment: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(file: string, library: string) {
    this.#file = file;
    this.environment = { LD_PRELOAD: library, FAULTS_CLOCK_SHIFT: file };
    writeFileSync(file, encode(0));
  }

  /** Has it differ from the machine's by some seconds from now on. */
  shift(seconds: number): void {
    // In its place: the program has mapped the file.
    const file = openSync(this.#file, "r+");
    writeSync(file, encode(seconds), 0, 8, 0);
    closeSync(file);
  }
}

function encode(seconds: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(seconds));
  return bytes;
}
