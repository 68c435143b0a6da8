/**
 * What fuzzing is made of: something that takes what strangers send, values that strangers could send, and what must hold
 * whatever they are. `npm test` tries each target a fixed number of times, `npm run fuzz` for as long as it is told.
 */
import * as fc from "fast-check";

/** How a target is tried. */
export interface FuzzRun {
  /** Any 32-bit number: the same one tries the same values. */
  readonly seed: number;
  /** Values to try. */
  readonly runs: number;
  /** Time after which no further value is tried, in milliseconds. */
  readonly limitMs?: number;
  /** A value that takes more CPU time counts as a finding, in milliseconds; any time will do unless stated. */
  readonly slowMs?: number;
}

/** What came of it. */
export interface FuzzReport {
  readonly runs: number;
  /** The smallest value that was found to break it, why, and how to see it again; undefined where none was. */
  readonly finding: string | undefined;
}

/** Whether a value is taken as it must be: throws where it is not. */
export type Check<Value> = (value: Value) => void | Promise<void>;

export interface FuzzTarget {
  readonly name: string;
  /** How many values `npm test` tries. */
  readonly runs: number;
  run(how: FuzzRun): Promise<FuzzReport>;
}

interface Definition<Value> {
  readonly name: string;
  readonly runs: number;
  readonly values: fc.Arbitrary<Value>;
  /** Prepares what the values are given to; what it puts into `resources` is released afterwards. */
  open(resources: AsyncDisposableStack): Check<Value> | Promise<Check<Value>>;
}

export function defineTarget<Value>({ name, runs, values, open }: Definition<Value>): FuzzTarget {
  return {
    name,
    runs,
    async run({ seed, runs, limitMs, slowMs = Infinity }) {
      await using resources = new AsyncDisposableStack();
      const check = await open(resources);
      const property = fc.asyncProperty(values, async (value) => {
        const began = process.cpuUsage();
        await check(value);
        const { user, system } = process.cpuUsage(began);
        const tookMs = (user + system) / 1000;
        if (tookMs > slowMs) throw new Error(`it took ${Math.round(tookMs)} ms of CPU time`);
      });
      const details = await fc.check(property, {
        seed,
        numRuns: runs,
        ...(limitMs !== undefined && { interruptAfterTimeLimit: limitMs }),
      });
      return { runs: details.numRuns, finding: describeFinding(details) };
    },
  };
}

const SHOWN_CHARACTERS = 2000;

/** What fast-check says of a value, and what the check said. */
function describeFinding<Values>(details: fc.RunDetails<Values>): string | undefined {
  if (!details.failed) return undefined;
  const reason = details.errorInstance instanceof Error ? details.errorInstance.stack : String(details.errorInstance);
  // Archives are long, and the seed has them.
  const value = fc.stringify(details.counterexample).slice(0, SHOWN_CHARACTERS);
  return `${value}\n${reason}\npath ${details.counterexamplePath ?? ""}`;
}

/** Passes over an error of the kinds that say that a value was refused; throws any other one. */
export function insistOnRefusal(error: unknown, ...kinds: readonly (abstract new (...args: never[]) => Error)[]): void {
  if (!kinds.some((kind) => error instanceof kind)) throw error;
}
