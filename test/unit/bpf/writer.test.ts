import { expect, test } from "vitest";
import { BPF } from "../../../worker/linux/bpf/program.ts";
import { BpfWriter } from "../../../worker/linux/bpf/writer.ts";
import { evaluateBpf } from "../../support/evaluate-bpf.ts";

const NUMBER = 0;
const [YES, NO] = [1, 2];

/** A comparison whose places are so many instructions away. */
function program(toYes: number, toNo: number) {
  const writer = new BpfWriter();
  const places = new Map<number, number>();
  // What fills the room is never reached, but where a jump has a wrong length.
  let filling = writer.answer(3);
  for (let distance = Math.max(toYes, toNo); distance > 0; distance--) {
    if (distance === toYes) places.set(YES, (filling = writer.answer(YES)));
    else if (distance === toNo) places.set(NO, (filling = writer.answer(NO)));
    else filling = writer.and(0, filling);
  }
  return writer.finish(
    writer.load(NUMBER, writer.compare(BPF.JUMP_EQUAL, 7, places.get(YES) ?? 0, places.get(NO) ?? 0)),
  );
}

const distances = [1, 2, 253, 254, 255, 256, 257, 258];

test.each(distances.flatMap((toYes) => distances.filter((toNo) => toNo !== toYes).map((toNo) => [toYes, toNo])))(
  "a comparison reaches its places over %d and %d instructions",
  (toYes, toNo) => {
    const written = program(toYes, toNo);
    expect(evaluateBpf(written, new Map([[NUMBER, 7]])).answer).toBe(YES);
    expect(evaluateBpf(written, new Map([[NUMBER, 8]])).answer).toBe(NO);
    expect(written.filter(({ onTrue, onFalse }) => onTrue > 255 || onFalse > 255)).toEqual([]);
  },
);

test("an answer is given once, as long as it is not too far", () => {
  const writer = new BpfWriter();
  const first = writer.answer(YES);
  expect(writer.answer(YES)).toBe(first);
  let filling = first;
  for (let written = 0; written < 256; written++) filling = writer.and(0, filling);
  expect(writer.answer(YES)).not.toBe(first);
});
