import { randomInt } from "node:crypto";

/** Something that can be measured again and again. */
export interface Subject<Sample> {
  readonly name: string;
  /** Does it once. @throws when it did not do what it is measured for */
  measure(): Promise<Sample>;
}

/** How often, and under whose eyes. */
export interface RoundOptions {
  readonly rounds: number;
  /** Rounds before the first that counts. */
  readonly warmUp: number;
  /** Ends the measurement. */
  readonly signal: AbortSignal;
  /** Called after each round that counts. */
  readonly onRound: (done: number) => void;
}

/**
 * Measures all subjects in every round, each time in another order: the machine's drift then falls on all of them
 * alike, and none has always the same one before it.
 * @returns the samples of each subject, round by round
 */
export async function interleave<Sample>(
  subjects: readonly Subject<Sample>[],
  { rounds, warmUp, signal, onRound }: RoundOptions,
): Promise<ReadonlyMap<string, readonly Sample[]>> {
  const samples = new Map<string, Sample[]>(subjects.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const subject of shuffle(subjects)) {
      signal.throwIfAborted();
      const sample = await subject.measure();
      if (round >= 0) samples.get(subject.name)?.push(sample);
    }
    if (round >= 0) onRound(round + 1);
  }
  return samples;
}

/** Fisher and Yates: every order is as likely as any other. */
function shuffle<Item>(items: readonly Item[]): Item[] {
  const shuffled: Item[] = [];
  for (const item of items) {
    const place = randomInt(shuffled.length + 1);
    shuffled.splice(place, 0, item);
  }
  return shuffled;
}
