import { closeSync } from "node:fs";
import { cString, systemCall } from "../linux/libc.ts";
import { untilResolved } from "../linux/open.ts";
import type { Argument, Control, DescriptorArgument, Step, Word } from "./plan/step.ts";

/** A step of the slot's that failed. */
export interface StepFailure {
  readonly step: Step;
  readonly errno: number;
}

/** Executes the slot's own steps of a plan, and holds the descriptors they open until it is disposed. */
export class SlotSteps implements Disposable {
  readonly #results = new Map<Step, number>();
  readonly #open = new Set<Step>();

  /** Makes the calls of `steps` that are the slot's, in order, up to the first that fails. */
  execute(steps: readonly Step[]): StepFailure | undefined {
    for (const step of steps) {
      if (step.actor !== "slot") continue;
      const errno = this.#execute(step);
      if (errno !== 0) return { step, errno };
    }
    return undefined;
  }

  /** The descriptor that an argument stands for. */
  descriptor(argument: DescriptorArgument): number {
    if (argument.kind === "held") return argument.descriptor;
    const result = this.#results.get(argument.step);
    if (result === undefined) throw new Error(`${argument.step.call} has not been executed`);
    return result;
  }

  /** Hands a descriptor over to the caller, who closes it. */
  release(step: Step): number {
    this.#open.delete(step);
    return this.descriptor({ kind: "result", step });
  }

  [Symbol.dispose](): void {
    for (const step of this.#open) closeSync(this.descriptor({ kind: "result", step }));
    this.#open.clear();
  }

  #execute(step: Step): number {
    const [a, b, c, d, e, f] = step.arguments.map((argument) => this.#value(argument));
    const make = (): number => systemCall(step.call, a, b, c, d, e, f);
    const result = step.call === "openat2" ? untilResolved(make) : make();
    const { control } = step;
    if (result < 0) return isPassedOver(control, -result) ? 0 : -result;
    if (control.kind === "must return" && result !== control.value) return ENOSPC;
    this.#results.set(step, result);
    if (step.opensDescriptor) this.#open.add(step);
    const [first] = step.arguments;
    if (step.call === "close" && typeof first === "object" && first.kind === "result") this.#open.delete(first.step);
    return 0;
  }

  #value(argument: Argument): number | bigint | Uint8Array {
    if (typeof argument !== "object") return argument;
    switch (argument.kind) {
      case "constant":
        return argument.value;
      case "string":
        return cString(argument.text);
      case "bytes":
        return argument.bytes;
      case "words":
        return this.#words(argument.words);
      case "room":
        return Buffer.alloc(argument.length);
      case "result":
      case "held":
        return this.descriptor(argument);
      case "strings":
      case "program":
        throw new RangeError(`the slot executes no command and attaches no filter: ${argument.kind} is not for it`);
      default:
        return argument satisfies never;
    }
  }

  #words(words: readonly Word[]): Uint8Array {
    const bytes = Buffer.alloc(words.length * 8);
    for (const [index, word] of words.entries()) {
      bytes.writeBigInt64LE(BigInt.asIntN(64, this.#word(word)), index * 8);
    }
    return bytes;
  }

  #word(word: Word): bigint {
    if (typeof word !== "object") return BigInt(word);
    if ("addressOf" in word) throw new RangeError("the slot passes no pointers in structs");
    if ("low" in word) return BigInt(this.descriptor(word.low)) | (BigInt(word.high) << 32n);
    return BigInt(this.descriptor(word));
  }
}

function isPassedOver(control: Control, errno: number): boolean {
  return control.kind === "may fail" && (control.errno === undefined || control.errno === errno);
}

/** A write that is cut short found its file system full. */
const ENOSPC = 28;
