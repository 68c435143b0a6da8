/** Makes an answer of every error: a code, a message, never a stack. */
import type { ErrorRequestHandler, RequestHandler } from "express";
import { LongshoreError } from "../../shared/errors.ts";

/** Seconds after which a client may try again what failed for a passing reason. */
const RETRY_AFTER_SECONDS = 1;

/** For paths that no route has. */
export const handleNotFound: RequestHandler = () => {
  throw new LongshoreError("not_found");
};

export const handleError: ErrorRequestHandler = (thrown: unknown, request, response, _next) => {
  const error = toLongshoreError(thrown);
  if (error.status === 500 || error.code === "blobs_unavailable") request.log.error({ err: thrown }, error.message);
  else if (error.cause !== undefined) request.log.debug({ err: thrown }, error.message);
  if (response.headersSent) {
    // The answer has begun: cutting it short is the only way to say that it is not whole.
    response.destroy();
    return;
  }
  if (error.status === 429 || error.status === 503) {
    response.set("retry-after", String(error.retryAfterSeconds ?? RETRY_AFTER_SECONDS));
  }
  response.status(error.status).json({ error: error.toBody() });
};

function toLongshoreError(thrown: unknown): LongshoreError {
  if (thrown instanceof LongshoreError) return thrown;
  // Express throws it when a path has a malformed percent-encoding.
  if (thrown instanceof URIError) return new LongshoreError("invalid_request", { message: "the path is malformed" });
  return new LongshoreError("internal_error", { cause: thrown });
}
