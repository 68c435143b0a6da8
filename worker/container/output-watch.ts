/** Some bytes of what a program wrote to one of its streams, in the order of writing. */
export interface OutputPiece {
  readonly stream: "stdout" | "stderr";
  readonly bytes: Uint8Array;
}

/** For whoever wants to see what a program writes while it runs. */
export interface OutputWatch {
  /** Aborts as soon as output is wanted; all that was written before is given then. */
  readonly wanted: AbortSignal;
  /**
   * Called with what was written, piece by piece. What the program wrote last may be missing: the run's result has it
   * all. Never more than its `outputBytes` of each stream.
   */
  readonly onOutput: (piece: OutputPiece) => void;
}
