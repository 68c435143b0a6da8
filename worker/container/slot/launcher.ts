import { closeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openMemoryFile } from "../../linux/memory-file.ts";
import { mustCall } from "../../linux/libc.ts";
import { spawn } from "../../linux/spawn.ts";
import {
  encodeAgain,
  encodeRest,
  encodeSteps,
  type EncodedSteps,
  readClock,
  readFailure,
  readResult,
} from "../encode.ts";
import type { SlotSteps } from "../interpret.ts";
import type { Argument, DescriptorArgument, Step } from "../plan/step.ts";

const LAUNCHER = fileURLToPath(new URL(`../../linux/launcher/launcher-${process.arch}`, import.meta.url));

/** Descriptors 0, 1 and 2 of what is launched. */
export interface StandardStreams {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

/** What there is to know of encoded steps when they are written: where they are, and where they leave what. */
type EncodedPart = Pick<EncodedSteps, "end" | "numbers" | "rooms">;

/** A plan being executed by the launcher and its children: what the slot and they share. */
export class Launch implements Disposable {
  readonly pid: number;
  readonly #memoryFile: number;
  /** The parts of the plan so far; their bytes are in the memory file. */
  readonly #parts: EncodedPart[] = [];

  /**
   * Spawns the launcher with the steps of `steps` that are not the slot's.
   * @throws {SystemCallError}
   */
  constructor(steps: readonly Step[], streams: StandardStreams, slotSteps: SlotSteps) {
    const encoded = encodeSteps(steps);
    this.#memoryFile = openMemoryFile("plan");
    try {
      this.#add(encoded);
      const inherited = encoded.inherited.map((argument) => slotSteps.descriptor(argument));
      this.pid = spawn(
        LAUNCHER,
        [streams.stdin, streams.stdout, streams.stderr, this.#memoryFile, ...inherited],
        ["init"],
      );
    } catch (error) {
      closeSync(this.#memoryFile);
      throw error;
    }
  }

  /**
   * Lays down what the plan goes on with after the step that waits, before what it waits for comes.
   * @returns what has to come, in this order: descriptors that the steps name
   */
  addSteps(steps: readonly Step[]): readonly DescriptorArgument[] {
    const encoded = encodeRest(this.#parts, steps);
    this.#add(encoded);
    return encoded.inherited;
  }

  /** Lays down what the plan ends with; steps that come again are encoded once. */
  addCommand(steps: readonly Step[]): void {
    this.#add(encodeAgain(this.#parts, steps));
  }

  /** What has come of the plan so far. */
  inspect(): Inspection {
    const memory = Buffer.allocUnsafeSlow(this.#parts.at(-1)?.end ?? 0);
    mustCall("pread64", this.#memoryFile, memory, memory.byteLength, 0);
    return new Inspection(memory, this.#parts);
  }

  [Symbol.dispose](): void {
    closeSync(this.#memoryFile);
  }

  #add({ bytes, offset, end, numbers, rooms }: EncodedSteps): void {
    this.#parts.push({ end, numbers, rooms });
    mustCall("pwrite64", this.#memoryFile, bytes, bytes.byteLength, offset);
  }
}

/** A plan's memory as it was at one moment. */
export class Inspection {
  readonly #memory: Buffer;
  readonly #parts: readonly EncodedPart[];

  constructor(memory: Buffer, parts: readonly EncodedPart[]) {
    this.#memory = memory;
    this.#parts = parts;
  }

  /** The step that failed first, and why. */
  get failure(): { readonly step: Step; readonly errno: number } | undefined {
    const failure = readFailure(this.#memory);
    if (failure === undefined) return undefined;
    const [step] = this.#numbers().find(([, number]) => number === failure.number) ?? [];
    return step && { step, errno: failure.errno };
  }

  /** What a step returned; 0 when it has not been made. */
  result(step: Step): number {
    const number = this.#parts.map(({ numbers }) => numbers.get(step)).find((found) => found !== undefined);
    if (number === undefined) throw new RangeError("this step is not part of the plan");
    return readResult(this.#memory, number);
  }

  /** The steps in the launcher's order with the time-stamp counter when each returned, 0 when it has not. */
  clocks(): { readonly step: Step; readonly clock: bigint }[] {
    return this.#numbers().map(([step, number]) => ({ step, clock: readClock(this.#memory, number) }));
  }

  /** What a call left in its room. */
  room(room: Argument): DataView {
    const offset = this.#parts.map(({ rooms }) => rooms.get(room)).find((found) => found !== undefined);
    if (offset === undefined || typeof room !== "object" || room.kind !== "room") {
      throw new RangeError("this room is not part of the plan");
    }
    return new DataView(this.#memory.buffer, this.#memory.byteOffset + offset, room.length);
  }

  #numbers(): (readonly [Step, number])[] {
    return this.#parts.flatMap(({ numbers }) => [...numbers]);
  }
}
