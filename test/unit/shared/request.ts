/** Requests as the API reads them, with nothing set by an operator. */
import { LongshoreError, type ErrorDetail } from "../../../shared/errors.ts";
import { createJobRequestSchema, parseJobRequest, type CheckedRequest } from "../../../shared/job-request.ts";
import { defaultMaxima } from "../../../shared/limits.ts";

const schema = createJobRequestSchema(defaultMaxima);

/** The smallest request that is accepted. */
export const smallest = { image: "python", command: ["python3", "main.py"] };

export function parse(body: unknown): CheckedRequest {
  return parseJobRequest(schema, body);
}

/** What is wrong with a body, by the path of the field; empty when nothing is. */
export function faultsOf(body: unknown): Record<string, string> {
  try {
    parse(body);
    return {};
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    return Object.fromEntries(error.details.map(({ path, message }: ErrorDetail) => [path, message]));
  }
}
