import { PassThrough } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { OutputPrinter } from "../../../services/cli/output-printer.ts";

function open(target = new PassThrough()) {
  const onDeviation = vi.fn<() => void>();
  const printer = new OutputPrinter(target, onDeviation);
  return {
    printer,
    onDeviation,
    write: async (text: string) => await printer.write(Buffer.from(text)),
    printed: (): string => String(target.read() ?? ""),
  };
}

describe("the output of a job", () => {
  it("is printed once, although the job is started again", async () => {
    const { printer, write, printed, onDeviation } = open();
    await write("one ");
    await write("two ");
    printer.restart();
    await write("on");
    printer.restart();
    await write("one two ");
    await write("three");
    await write(" four");
    expect(printed()).toBe("one two three four");
    expect(onDeviation).not.toHaveBeenCalled();
  });

  it("is printed whole when another attempt writes something else, with a word about it", async () => {
    const { printer, write, printed, onDeviation } = open();
    await write("seed 17\nresult");
    printer.restart();
    await write("seed ");
    await write("4\nresult 1");
    expect(printed()).toBe("seed 17\nresultseed 4\nresult 1");
    expect(onDeviation).toHaveBeenCalledTimes(1);
    printer.restart();
    await write("seed 4\nresult 1, too");
    expect(printed()).toBe(", too");
    expect(onDeviation).toHaveBeenCalledTimes(1);
  });

  it("is not taken faster than it is printed", async () => {
    const target = new PassThrough({ highWaterMark: 4 });
    const { write } = open(target);
    const written = vi.fn<() => void>();
    const writing = write("12345678").then(written);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).not.toHaveBeenCalled();
    target.resume();
    await writing;
    expect(written).toHaveBeenCalledTimes(1);
  });
});
