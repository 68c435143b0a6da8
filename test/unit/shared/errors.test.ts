import { describe, expect, test } from "vitest";
import { errorCodes, errorTable, LongshoreError, renderErrorTable } from "../../../shared/errors.ts";

describe.each(errorCodes)("%s", (code) => {
  const { status, message } = errorTable[code];

  test("has a status of an error, or none because it is only found in jobs", () => {
    expect(status === null || (status >= 400 && status < 600)).toBe(true);
  });

  test("is said in lower case, without a full stop", () => {
    expect(message).toMatch(/^[a-z].*[^.]$/);
  });

  test("stands in the table for the README", () => {
    expect(renderErrorTable()).toContain(`| \`${code}\` | ${status ?? "in a job"} | ${message} |`);
  });
});

test("an error says its own message, or that of the table", () => {
  expect(new LongshoreError("queue_full").toBody()).toEqual({
    code: "queue_full",
    message: errorTable.queue_full.message,
  });
  expect(new LongshoreError("queue_full", { message: "other" }).toBody().message).toBe("other");
});

test("details are there when there are any", () => {
  const details = [{ path: "a", message: "b" }];
  expect(new LongshoreError("invalid_request", { details }).toBody()).toMatchObject({ details });
  expect(new LongshoreError("invalid_request").toBody()).not.toHaveProperty("details");
});

test("a job's code that gets out as an answer is a fault of ours", () => {
  expect(new LongshoreError("setup_failed").status).toBe(500);
});
