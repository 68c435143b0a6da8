/** Values of options that the project's own commands share, for commander. */
import { InvalidArgumentError } from "commander";

/** A week: whoever asks for more means something else. */
const MINUTES_MAX = 10_080;

/** A number of minutes above 0. */
export function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0 && minutes <= MINUTES_MAX)) {
    throw new InvalidArgumentError(`it is not a number of minutes above 0, up to ${MINUTES_MAX}`);
  }
  return minutes;
}

/** The beginning of what looks like chance. */
export function parseSeed(text: string): number {
  const seed = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(seed)) throw new InvalidArgumentError("it is not a whole number");
  return seed;
}

/** How many of something there are to be. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError("it is not a whole number above 0");
  return count;
}
