/**
 * A plan as the launcher reads it: `struct plan` of worker/linux/launcher/launcher.c, and behind its steps everything
 * that their pointers point to. The launcher maps these bytes at a fixed address, so pointers are absolute from the
 * start.
 *
 * A plan that waits is encoded in parts. Each is written behind the one before it while the launcher's processes are at
 * work or wait, and its steps are numbered on as if the bytes between were steps, too:
 *
 *   header │ steps … wait │ strings, structs, rooms │ steps … wait │ strings, structs, rooms │ …
 *                    └──────── goes on at ──────────▲         └──────── goes on at ──────────▲
 */
import { BPF_INSTRUCTION_BYTES } from "../linux/bpf/program.ts";
import { systemCalls } from "../linux/system-calls.ts";
import type { Argument, Control, DescriptorArgument, Step, Word } from "./plan/step.ts";

const PLAN_ADDRESS = 0x10000000;
const HEADER_BYTES = 8;
const STEP_BYTES = 72;
const RESULT_OFFSET = 56;
const CLOCK_OFFSET = 64;
/** Descriptors of the launcher: 0 to 2 for the program, 3 for the plan or a socket, then what the plan inherits. */
const FIRST_INHERITED = 4;
/** A first guess at the room for what is behind the steps: of a preparation most is its filter. */
const ROOM_BYTES = 6 * 1024;

const Flag = { mayFail: 1, fork: 2, until: 4, mustBe0: 8, goOn: 16 } as const;

/** Steps of a plan in the launcher's form. */
export interface EncodedSteps {
  readonly bytes: Buffer;
  /** Where in the plan's memory the bytes belong. */
  readonly offset: number;
  /** The first byte behind them. */
  readonly end: number;
  /** What the launcher inherits, or who waits receives, from descriptor 4 on. */
  readonly inherited: readonly DescriptorArgument[];
  /** The launcher's number of each step, in its order. */
  readonly numbers: ReadonlyMap<Step, number>;
  /** Offset in the plan's memory of each room. */
  readonly rooms: ReadonlyMap<Argument, number>;
}

/** What the rest of a plan has to know of its parts so far. */
type BegunPart = Pick<EncodedSteps, "end" | "numbers">;

/** Encodes the beginning of a plan, or all of it; without what the slot does itself. */
export function encodeSteps(steps: readonly Step[]): EncodedSteps {
  return new Encoder(steps.filter((step) => step.actor !== "slot")).encode();
}

/**
 * Encodes what a plan goes on with after the step that waits. It may use results of the steps before, and descriptors that
 * whoever waits then receives.
 */
export function encodeRest(begun: readonly BegunPart[], steps: readonly Step[]): EncodedSteps {
  return new Encoder(
    steps.filter((step) => step.actor !== "slot"),
    begun,
  ).encode();
}

/** What steps were encoded to that are likely to come again. */
const encodedBefore = new WeakMap<readonly Step[], EncodedSteps>();

/**
 * As {@link encodeRest}, for steps that come again: where they come to the same place, it is done. They may use nothing of
 * the parts before.
 */
export function encodeAgain(begun: readonly BegunPart[], steps: readonly Step[]): EncodedSteps {
  const end = begun.at(-1)?.end ?? 0;
  const known = encodedBefore.get(steps);
  if (known?.offset === stepOffset(numberBehind(end))) return known;
  const encoded = encodeRest([{ end, numbers: new Map() }], steps);
  if (encoded.inherited.length > 0) throw new RangeError("steps that come again name descriptors, which do not");
  encodedBefore.set(steps, encoded);
  return encoded;
}

class Encoder {
  readonly #begun: readonly BegunPart[];
  readonly #steps: readonly Step[];
  /** Number of the first step. */
  readonly #first: number;
  readonly #numbers: ReadonlyMap<Step, number>;
  readonly #inherited: DescriptorArgument[] = [];
  readonly #rooms = new Map<Argument, number>();
  readonly #vectors = new Map<readonly string[], number>();
  /** Addresses of strings: no call changes what it is pointed to by one. */
  readonly #strings = new Map<string, number>();
  /** Where the bytes begin in the plan's memory. */
  readonly #offset: number;
  #bytes: Buffer;
  /** The same, for words: through a Buffer's methods each takes five times as long. */
  #halves: Int32Array;
  #end: number;

  constructor(steps: readonly Step[], begun: readonly BegunPart[] = []) {
    const last = begun.at(-1);
    this.#begun = begun;
    this.#steps = steps;
    this.#first = last === undefined ? 0 : numberBehind(last.end);
    this.#numbers = new Map(steps.map((step, index) => [step, this.#first + index]));
    this.#offset = last === undefined ? 0 : stepOffset(this.#first);
    this.#end = stepOffset(this.#first + steps.length) - this.#offset;
    const memory = new ArrayBuffer(this.#end + ROOM_BYTES);
    this.#bytes = Buffer.from(memory);
    this.#halves = new Int32Array(memory);
  }

  encode(): EncodedSteps {
    const waits: number[] = [];
    for (const [index, step] of this.#steps.entries()) {
      const offset = stepOffset(this.#first + index) - this.#offset;
      this.#encodeStep(step, offset, index);
      if (step.control.kind === "go on") waits.push(offset);
    }
    const bytes = this.#bytes.subarray(0, this.#end);
    for (const offset of waits) bytes.writeUInt16LE(numberBehind(this.#offset + this.#end), offset + 6);
    return {
      bytes,
      offset: this.#offset,
      end: this.#offset + this.#end,
      inherited: this.#inherited,
      numbers: this.#numbers,
      rooms: this.#rooms,
    };
  }

  #encodeStep(step: Step, offset: number, index: number): void {
    let references = 0;
    let position = 0;
    for (const argument of step.arguments) {
      if (this.#isReference(argument)) references |= 1 << position;
      this.#writeWord(this.#value(argument), offset + 8 + position * 8);
      position++;
    }
    const { flag, next } = this.#control(step.control, index);
    this.#halves[offset / 4] = systemCalls[step.call];
    this.#halves[offset / 4 + 1] = references | (flag << 8) | (next << 16);
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
        return { flag: Flag.until, next: this.#number(control.step) };
      case "go on":
        // Where to is known when everything is placed.
        return { flag: Flag.goOn, next: 0 };
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
    return this.#first + next;
  }

  #number(step: Step): number {
    const number =
      this.#numbers.get(step) ??
      this.#begun.map(({ numbers }) => numbers.get(step)).find((found) => found !== undefined);
    if (number === undefined) throw new RangeError(`${step.call} is not a step of the launcher`);
    return number;
  }

  #value(argument: Argument): number | bigint {
    if (typeof argument !== "object") return argument;
    switch (argument.kind) {
      case "constant":
        return argument.value;
      case "string":
        return this.#string(argument.text);
      case "strings":
        return this.#vector(argument.list);
      case "bytes":
        return this.#place(argument.bytes);
      case "words":
        return this.#words(argument.words.map((word) => this.#word(word)));
      case "program": {
        const length = argument.instructions.byteLength / BPF_INSTRUCTION_BYTES;
        return this.#words([length, this.#place(argument.instructions)]); // struct sock_fprog
      }
      case "room":
        return PLAN_ADDRESS + this.#room(argument, argument.length);
      case "result":
        return argument.step.actor === "slot" ? this.#inherit(argument) : this.#number(argument.step);
      case "held":
        return this.#inherit(argument);
      default:
        return argument satisfies never;
    }
  }

  #word(word: Word): number | bigint {
    if (typeof word !== "object") return word;
    if ("low" in word) return BigInt(this.#inherit(word.low)) | (BigInt(word.high) << 32n);
    if ("addressOf" in word) return this.#value(word.addressOf);
    return this.#inherit(word);
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
    const offset = this.#offset + this.#reserve(length);
    this.#rooms.set(room, offset);
    return offset;
  }

  /** The command and the environment are the same for every candidate of the PATH: placed once. */
  #vector(list: readonly string[]): number {
    const known = this.#vectors.get(list);
    if (known !== undefined) return known;
    const address = this.#words([...list.map((text) => this.#string(text)), 0]);
    this.#vectors.set(list, address);
    return address;
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const place = this.#reserve(Buffer.byteLength(text) + 1);
    this.#bytes.write(text, place);
    const address = PLAN_ADDRESS + this.#offset + place;
    this.#strings.set(text, address);
    return address;
  }

  #words(words: readonly (number | bigint)[]): number {
    const place = this.#reserve(words.length * 8);
    for (const [index, word] of words.entries()) this.#writeWord(word, place + index * 8);
    return PLAN_ADDRESS + this.#offset + place;
  }

  #place(bytes: Uint8Array): number {
    const place = this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, place);
    return PLAN_ADDRESS + this.#offset + place;
  }

  /** Takes zeroed room behind the steps, aligned to 8; returns its place in these bytes. */
  #reserve(length: number): number {
    const place = this.#end;
    this.#end = (place + length + 7) & ~7;
    if (this.#end > this.#bytes.byteLength) {
      const memory = new ArrayBuffer(Math.max(this.#end, this.#bytes.byteLength * 2));
      const grown = Buffer.from(memory);
      this.#bytes.copy(grown);
      this.#bytes = grown;
      this.#halves = new Int32Array(memory);
    }
    return place;
  }

  /** Writes 64 bits; plain numbers, of which there are hundreds in a plan, without a detour by way of BigInt. */
  #writeWord(word: number | bigint, offset: number): void {
    const isBig = typeof word === "bigint";
    this.#halves[offset / 4] = isBig ? Number(BigInt.asIntN(32, word)) : word | 0;
    this.#halves[offset / 4 + 1] = isBig ? Number(BigInt.asIntN(64, word) >> 32n) : Math.floor(word / 2 ** 32) | 0;
  }
}

function stepOffset(number: number): number {
  return HEADER_BYTES + number * STEP_BYTES;
}

/** The number that a step has which is the first to fit behind an offset. */
function numberBehind(offset: number): number {
  return Math.ceil((offset - HEADER_BYTES) / STEP_BYTES);
}

/** Number and errno of the launcher's step that failed, if one did. */
export function readFailure(memory: Buffer): { readonly number: number; readonly errno: number } | undefined {
  const failed = memory.readUInt32LE(0);
  return failed === 0 ? undefined : { number: failed - 1, errno: memory.readUInt32LE(4) };
}

/** What the launcher's step with this number returned. */
export function readResult(memory: Buffer, number: number): number {
  return Number(memory.readBigInt64LE(stepOffset(number) + RESULT_OFFSET));
}

/** The time-stamp counter when the launcher's step with this number returned; 0 when it has not. */
export function readClock(memory: Buffer, number: number): bigint {
  return memory.readBigUInt64LE(stepOffset(number) + CLOCK_OFFSET);
}
