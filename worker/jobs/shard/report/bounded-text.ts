/** Of the characters that a text may keep, those for saying how many are missing. */
const REMARK_CHARACTERS = 64;

/**
 * Text of unknown length that keeps its beginning and its end: a failure's message is at one of them, depending on the
 * language. Memory is that of what is kept, however much is appended.
 */
export class BoundedText {
  readonly #halfMax: number;
  #head = "";
  #tail = "";
  #missing = 0;

  /** @param charactersMax of what is kept, in UTF-16 code units; at least 128 */
  constructor(charactersMax: number) {
    this.#halfMax = Math.floor((charactersMax - REMARK_CHARACTERS) / 2);
  }

  append(text: string): void {
    const room = this.#halfMax - this.#head.length;
    this.#head += text.slice(0, room);
    this.#tail += text.slice(room);
    // Not with every piece: many small ones would each copy the whole end.
    if (this.#tail.length > 2 * this.#halfMax) this.#cut();
  }

  /** What is kept, without white space around it. */
  toString(): string {
    if (this.#tail.length > this.#halfMax) this.#cut();
    const remark = this.#missing === 0 ? "" : `\n… ${this.#missing} characters are left out …\n`;
    return `${this.#head}${remark}${this.#tail}`.trim().toWellFormed();
  }

  #cut(): void {
    this.#missing += this.#tail.length - this.#halfMax;
    this.#tail = this.#tail.slice(-this.#halfMax);
  }
}
