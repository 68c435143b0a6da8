import { closeSync, readSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openMemoryFile } from "../../linux/memory-file.ts";
import { spawn } from "../../linux/spawn.ts";
import { encodeSteps, type EncodedPlan, readClock, readFailure, readResult } from "../encode.ts";
import type { SlotSteps } from "../interpret.ts";
import type { Argument, Step } from "../plan/step.ts";

const LAUNCHER = fileURLToPath(new URL(`../../linux/launcher/launcher-${process.arch}`, import.meta.url));

/** Descriptors 0, 1 and 2 of what is launched. */
export interface StandardStreams {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

/** A plan being executed by the launcher and its children: what the slot and they share. */
export class Launch implements Disposable {
  readonly pid: number;
  readonly #memoryFile: number;
  readonly #encoded: EncodedPlan;

  /**
   * Spawns the launcher with the steps of `steps` that are not the slot's.
   * @throws {SystemCallError}
   */
  constructor(steps: readonly Step[], streams: StandardStreams, slotSteps: SlotSteps) {
    this.#encoded = encodeSteps(steps);
    this.#memoryFile = openMemoryFile("plan");
    try {
      writeSync(this.#memoryFile, this.#encoded.bytes);
      const inherited = this.#encoded.inherited.map((argument) => slotSteps.descriptor(argument));
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

  /** What has come of the plan so far. */
  inspect(): Inspection {
    readSync(this.#memoryFile, this.#encoded.bytes, 0, this.#encoded.bytes.byteLength, 0);
    return new Inspection(this.#encoded);
  }

  [Symbol.dispose](): void {
    closeSync(this.#memoryFile);
  }
}

/** A plan's memory as it was at one moment. */
export class Inspection {
  readonly #encoded: EncodedPlan;

  constructor(encoded: EncodedPlan) {
    this.#encoded = encoded;
  }

  /** The step that failed first, and why. */
  get failure(): { readonly step: Step; readonly errno: number } | undefined {
    const failure = readFailure(this.#encoded.bytes);
    const step = failure && this.#encoded.steps[failure.index];
    return failure && step && { step, errno: failure.errno };
  }

  /** What a step returned; 0 when it has not been made. */
  result(step: Step): number {
    return readResult(this.#encoded.bytes, this.#encoded.steps.indexOf(step));
  }

  /** The steps in the launcher's order with the time-stamp counter when each returned, 0 when it has not. */
  clocks(): { readonly step: Step; readonly clock: bigint }[] {
    return this.#encoded.steps.map((step, index) => ({ step, clock: readClock(this.#encoded.bytes, index) }));
  }

  /** What a call left in its room. */
  room(room: Argument): DataView {
    const offset = this.#encoded.rooms.get(room);
    if (offset === undefined || typeof room !== "object" || room.kind !== "room") {
      throw new RangeError("this room is not part of the plan");
    }
    const { bytes } = this.#encoded;
    return new DataView(bytes.buffer, bytes.byteOffset + offset, room.length);
  }
}
