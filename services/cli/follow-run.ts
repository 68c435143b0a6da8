import * as z from "zod";
import { decodeContent } from "../../shared/content.ts";
import type { Client } from "./client.ts";
import { OutputPrinter } from "./output-printer.ts";
import { report } from "./report.ts";

const stateSchema = z.object({ attempt: z.int() });

const outputSchema = z.object({ content: z.string(), encoding: z.enum(["utf8", "base64"]) });

/** Prints what a job's program writes, on our stdout and stderr, byte for byte, while it runs. */
export class RunFollower {
  readonly #client: Pick<Client, "events">;
  readonly #id: string;
  readonly #printers: Readonly<Record<"stdout" | "stderr", OutputPrinter>>;
  #attempt = 0;
  #lastEventId: string | undefined;

  constructor(client: Pick<Client, "events">, id: string) {
    this.#client = client;
    this.#id = id;
    const onDeviation = () => report("the job was started again, and writes something else: from the beginning");
    this.#printers = {
      stdout: new OutputPrinter(process.stdout, onDeviation),
      stderr: new OutputPrinter(process.stderr, onDeviation),
    };
  }

  /** Resolves when the job is finished and all is printed. Aborting ends that; a later call goes on where it was. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const { id, name, data } of this.#client.events(this.#id, this.#lastEventId, signal)) {
      // First: who is interrupted while it is printed has it nevertheless.
      this.#lastEventId = id;
      await this.#print(name, JSON.parse(data));
    }
  }

  async #print(name: string, data: unknown): Promise<void> {
    switch (name) {
      case "state": {
        const { attempt } = stateSchema.parse(data);
        if (attempt > 1 && attempt !== this.#attempt) {
          for (const printer of Object.values(this.#printers)) printer.restart();
        }
        this.#attempt = attempt;
        return;
      }
      case "stdout":
      case "stderr":
        return await this.#printers[name].write(decodeContent(outputSchema.parse(data)));
    }
  }
}
