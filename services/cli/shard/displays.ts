/** Where it is shown how a suite stands: a line for each part in a terminal, a line for each change elsewhere. */
import { styleText } from "node:util";
import { createLogUpdate } from "log-update";
import { shardPhases } from "../../../shared/shard-result.ts";
import { describeStanding, isBad } from "./lines.ts";
import { nameOf, type Standing } from "./suite-events.ts";

/** Disposing of it leaves the stream to others. */
export interface Display extends Disposable {
  /** How a part stands now. @param attempt at the job, from 1: a part that stands as before does so anew in another one */
  stands(standing: Standing, attempt: number): void;
  /** The line that a part has printed last, where there is a place for it; empty for none. */
  printed(part: string, line: string): void;
  /** Adds lines that stay. */
  add(lines: readonly string[]): void;
}

/** For logs and pipes. */
export class ChangeLines implements Display {
  readonly #print: (line: string) => void;
  readonly #last = new Map<string, string>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  stands(standing: Standing, attempt: number): void {
    const { kind, event } = standing;
    // That they wait is news of those only that have run before.
    if (kind === "shard" && event.state === "queued" && event.attempt === 0) return;
    const change = `${event.state} ${kind === "shard" ? event.attempt : attempt}`;
    const name = nameOf(standing);
    if (this.#last.get(name) === change) return;
    this.#last.set(name, change);
    this.#print(describeStanding(standing, 0));
  }

  printed(): void {
    // A log keeps every line, and has no place for one that changes.
  }

  add(lines: readonly string[]): void {
    for (const line of lines) this.#print(line);
  }

  [Symbol.dispose](): void {
    // Each line is out already.
  }
}

/** Lines of a terminal are drawn this often, in milliseconds: time goes on in them between events. */
const REDRAW_MS = 200;

/** A part, and when it was told of, in milliseconds of performance.now(). */
interface Row {
  readonly standing: Standing;
  readonly cameAt: number;
}

/** What shows lines that change. */
export type Terminal = NodeJS.WritableStream & { readonly columns: number };

/** For terminals. */
export class LiveLines implements Display {
  readonly #stream: Terminal;
  readonly #log: ReturnType<typeof createLogUpdate>;
  readonly #rows = new Map<string, Row>();
  readonly #printed = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(stream: Terminal) {
    this.#stream = stream;
    this.#log = createLogUpdate(stream);
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  stands(standing: Standing): void {
    this.#rows.set(nameOf(standing), { standing, cameAt: performance.now() });
  }

  printed(part: string, line: string): void {
    this.#printed.set(part, line);
  }

  add(lines: readonly string[]): void {
    this.#log.persist(lines.join("\n"));
    this.#draw();
  }

  #draw(): void {
    const inOrder = [...this.#rows.values()].toSorted((a, b) => placeOf(a.standing) - placeOf(b.standing));
    this.#log(inOrder.map((row) => this.#describe(row)).join("\n"));
  }

  #describe({ standing, cameAt }: Row): string {
    const isRunning = standing.event.state === "running";
    const line = describeStanding(standing, isRunning ? performance.now() - cameAt : 0);
    const style = isBad(standing) ? "red" : standing.event.state === "done" ? "green" : "reset";
    const printed = isRunning ? (this.#printed.get(nameOf(standing)) ?? "") : "";
    // One line of the terminal is all that a part has.
    const room = this.#stream.columns - line.length - PRINTED.length;
    const shown = printed === "" || room <= 0 ? "" : `${PRINTED}${printed.slice(0, room).toWellFormed()}`;
    const options = { stream: this.#stream };
    return `${styleText(style, line, options)}${styleText("dim", shown, options)}`;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#log.done();
  }
}

/** Stands before what a part has printed last. */
const PRINTED = "  | ";

/** Phases first, and then the shards by their number. */
function placeOf({ kind, event }: Standing): number {
  return kind === "phase" ? shardPhases.indexOf(event.phase) - shardPhases.length : event.shard;
}
