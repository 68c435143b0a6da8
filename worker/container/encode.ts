/**
 * A plan as the launcher reads it: `struct plan` of worker/linux/launcher/launcher.c, and behind it everything its
 * pointers point to. The launcher maps these bytes at a fixed address, so pointers are absolute from the start.
 */
import { systemCalls } from "../linux/system-calls.ts";
import type { Argument, Control, DescriptorArgument, Step, Word } from "./plan/step.ts";

const PLAN_ADDRESS = 0x10000000;
const HEADER_BYTES = 8;
const STEP_BYTES = 72;
const RESULT_OFFSET = 56;
const CLOCK_OFFSET = 64;
/** Descriptors of the launcher: 0 to 2 for the program, 3 for the plan, then what the plan inherits. */
const FIRST_INHERITED = 4;

const Flag = { mayFail: 1, fork: 2, until: 4, mustBe0: 8 } as const;

/** A plan in the launcher's form. */
export interface EncodedPlan {
  readonly bytes: Buffer;
  /** What the launcher inherits from descriptor 4 on. */
  readonly inherited: readonly DescriptorArgument[];
  /** The launcher's steps, in its order. */
  readonly steps: readonly Step[];
  /** Offset of each room in `bytes`. */
  readonly rooms: ReadonlyMap<Argument, number>;
}

/** Encodes what the slot does not do itself. */
export function encodeSteps(steps: readonly Step[]): EncodedPlan {
  return new Encoder(steps.filter((step) => step.actor !== "slot")).encode();
}

class Encoder {
  readonly #steps: readonly Step[];
  readonly #indexes: ReadonlyMap<Step, number>;
  readonly #inherited: DescriptorArgument[] = [];
  readonly #rooms = new Map<Argument, number>();
  readonly #vectors = new Map<readonly string[], number>();
  #bytes: Buffer;
  #end: number;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.#indexes = new Map(steps.map((step, index) => [step, index]));
    this.#end = HEADER_BYTES + steps.length * STEP_BYTES;
    this.#bytes = Buffer.alloc(this.#end + 16 * 1024);
  }

  encode(): EncodedPlan {
    for (const [index, step] of this.#steps.entries()) this.#encodeStep(step, HEADER_BYTES + index * STEP_BYTES, index);
    return {
      bytes: this.#bytes.subarray(0, this.#end),
      inherited: this.#inherited,
      steps: this.#steps,
      rooms: this.#rooms,
    };
  }

  #encodeStep(step: Step, offset: number, index: number): void {
    let references = 0;
    for (const [position, argument] of step.arguments.entries()) {
      if (this.#isReference(argument)) references |= 1 << position;
      const value = this.#value(argument);
      this.#bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), offset + 8 + position * 8);
    }
    const { flag, next } = this.#control(step.control, index);
    this.#bytes.writeUInt32LE(systemCalls[step.call], offset);
    this.#bytes.writeUInt8(references, offset + 4);
    this.#bytes.writeUInt8(flag, offset + 5);
    this.#bytes.writeUInt16LE(next, offset + 6);
  }

  /** The result of a launcher's step is looked up by the launcher; everything else is known now. */
  #isReference(argument: Argument): boolean {
    return typeof argument === "object" && argument.kind === "result" && argument.step.actor !== "slot";
  }

  #control(control: Control, index: number): { readonly flag: number; readonly next: number } {
    switch (control.kind) {
      case "must succeed":
        return { flag: 0, next: 0 };
      case "may fail":
        if (control.errno !== undefined) throw new RangeError("the launcher passes over any failure, or none");
        return { flag: Flag.mayFail, next: 0 };
      case "must return":
        if (control.value !== 0)
          throw new RangeError(`the launcher compares results with 0 only, not ${control.value}`);
        return { flag: Flag.mustBe0, next: 0 };
      case "fork":
        return { flag: Flag.fork, next: this.#continuation(index) };
      case "until":
        return { flag: Flag.until, next: this.#index(control.step) };
      default:
        return control satisfies never;
    }
  }

  /** The parent goes on at its own first step after those of its descendants. */
  #continuation(fork: number): number {
    const actor = this.#steps[fork]?.actor;
    const child = this.#steps.findIndex((step, index) => index > fork && step.actor !== actor);
    const next = this.#steps.findIndex((step, index) => index > child && step.actor === actor);
    if (child === -1 || next === -1) throw new RangeError(`step ${fork} forks, but nothing follows for the ${actor}`);
    return next;
  }

  #index(step: Step): number {
    const index = this.#indexes.get(step);
    if (index === undefined) throw new RangeError(`${step.call} is not a step of the launcher`);
    return index;
  }

  #value(argument: Argument): number | bigint {
    if (typeof argument !== "object") return argument;
    switch (argument.kind) {
      case "constant":
        return argument.value;
      case "string":
        return this.#place(Buffer.from(`${argument.text}\0`));
      case "strings":
        return this.#vector(argument.list);
      case "bytes":
        return this.#place(argument.bytes);
      case "words":
        return this.#words(argument.words.map((word) => this.#word(word)));
      case "program": {
        const BPF_INSTRUCTION_BYTES = 8;
        const length = argument.instructions.byteLength / BPF_INSTRUCTION_BYTES;
        return this.#words([length, this.#place(argument.instructions)]); // struct sock_fprog
      }
      case "room":
        return PLAN_ADDRESS + this.#room(argument, argument.length);
      case "result":
        return argument.step.actor === "slot" ? this.#inherit(argument) : this.#index(argument.step);
      case "held":
        return this.#inherit(argument);
      default:
        return argument satisfies never;
    }
  }

  #word(word: Word): bigint {
    if (typeof word !== "object") return BigInt.asIntN(64, BigInt(word));
    if ("low" in word) return BigInt(this.#inherit(word.low)) | (BigInt(word.high) << 32n);
    return BigInt(this.#inherit(word));
  }

  /** The number under which the launcher finds a descriptor of the slot. */
  #inherit(argument: DescriptorArgument): number {
    const isSame = (other: DescriptorArgument): boolean =>
      argument.kind === "held"
        ? other.kind === "held" && other.descriptor === argument.descriptor
        : other.kind === "result" && other.step === argument.step;
    if (argument.kind === "result" && argument.step.actor !== "slot") {
      throw new RangeError(`${argument.step.call} of the ${argument.step.actor} is not known before it is made`);
    }
    const known = this.#inherited.findIndex(isSame);
    if (known !== -1) return FIRST_INHERITED + known;
    return FIRST_INHERITED + this.#inherited.push(argument) - 1;
  }

  #room(room: Argument, length: number): number {
    const known = this.#rooms.get(room);
    if (known !== undefined) return known;
    const offset = this.#place(new Uint8Array(length)) - PLAN_ADDRESS;
    this.#rooms.set(room, offset);
    return offset;
  }

  /** The command and the environment are the same for every candidate of the PATH: placed once. */
  #vector(list: readonly string[]): number {
    const known = this.#vectors.get(list);
    if (known !== undefined) return known;
    const address = this.#words([...list.map((text) => this.#place(Buffer.from(`${text}\0`))), 0]);
    this.#vectors.set(list, address);
    return address;
  }

  #words(words: readonly (number | bigint)[]): number {
    const bytes = Buffer.alloc(words.length * 8);
    for (const [index, word] of words.entries()) bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(word)), index * 8);
    return this.#place(bytes);
  }

  /** Puts bytes behind the steps, aligned to 8; returns their address. */
  #place(bytes: Uint8Array): number {
    const offset = this.#end;
    this.#end = (offset + bytes.byteLength + 7) & ~7;
    if (this.#end > this.#bytes.byteLength) {
      const grown = Buffer.alloc(Math.max(this.#end, this.#bytes.byteLength * 2));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, offset);
    return PLAN_ADDRESS + offset;
  }
}

/** Index and errno of the launcher's step that failed, if one did. */
export function readFailure(memory: Buffer): { readonly index: number; readonly errno: number } | undefined {
  const failed = memory.readUInt32LE(0);
  return failed === 0 ? undefined : { index: failed - 1, errno: memory.readUInt32LE(4) };
}

/** What the launcher's step `index` returned. */
export function readResult(memory: Buffer, index: number): number {
  return Number(memory.readBigInt64LE(HEADER_BYTES + index * STEP_BYTES + RESULT_OFFSET));
}

/** The time-stamp counter when the launcher's step `index` returned; 0 when it has not. */
export function readClock(memory: Buffer, index: number): bigint {
  return memory.readBigUInt64LE(HEADER_BYTES + index * STEP_BYTES + CLOCK_OFFSET);
}
