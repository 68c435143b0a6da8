/** A Dockerfile asks for what cannot be done; the message begins with the file and the line. */
export class DockerfileError extends Error {
  override readonly name = "DockerfileError";
  readonly file: string;
  /** From 1. */
  readonly line: number;

  constructor(file: string, line: number, message: string, options?: ErrorOptions) {
    super(`${file}:${line}: ${message}`, options);
    this.file = file;
    this.line = line;
  }
}
