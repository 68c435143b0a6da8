/** What many measurements of one thing say, in their unit. */
export interface Statistics {
  readonly rounds: number;
  readonly minimum: number;
  readonly median: number;
  readonly p99: number;
  /** Distance from the first to the third quartile: how far the middle half is spread. */
  readonly interquartileRange: number;
}

/** Sums samples up. @throws {RangeError} when there are none */
export function summarize(samples: readonly number[]): Statistics {
  const sorted = samples.toSorted((a, b) => a - b);
  return {
    rounds: sorted.length,
    minimum: quantile(sorted, 0),
    median: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    interquartileRange: quantile(sorted, 0.75) - quantile(sorted, 0.25),
  };
}

/**
 * The value below which a share of the samples lies, interpolated between the two nearest (type 7 of Hyndman and Fan,
 * "Sample quantiles in statistical packages", 1996: the default of R and NumPy).
 * @param sorted in ascending order
 * @param share 0 to 1
 */
export function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) throw new RangeError("there is no quantile of no samples");
  return below + (above - below) * (position - Math.floor(position));
}
