import * as z from "zod";
import { describeAbsolutePathFault } from "./paths/faults.ts";
import { parsePattern } from "./paths/glob.ts";

/** A pattern as an output's is, which may begin at the container's root. */
export const filePatternSchema = z
  .string()
  .superRefine((pattern, context) => {
    const fault = describeFault(pattern);
    if (fault !== undefined) context.addIssue({ code: "custom", message: fault, input: pattern });
  })
  .meta({
    description:
      "path, or a pattern with * ? [a-z] and **, relative to the working directory or, with a slash at its beginning, to " +
      "the container's root",
    examples: ["/out/*.xml", "target/surefire-reports/*.xml"],
  });

function describeFault(text: string): string | undefined {
  if (text.startsWith("/")) {
    const fault = describeAbsolutePathFault(text);
    if (fault !== undefined) return fault;
    if (text === "/") return "is the root: name a file below it";
  }
  const pattern = parsePattern(text.startsWith("/") ? text.slice(1) : text);
  return pattern.kind === "fault" ? pattern.message : undefined;
}
