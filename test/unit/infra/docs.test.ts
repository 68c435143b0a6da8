import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { insertTables } from "../../../infra/docs.ts";

const readme = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");

describe("the README", () => {
  it("has the tables that the code has (npm run docs)", () => {
    expect(readme).toBe(insertTables(readme));
  });

  it("is refused when it has no place for a table", () => {
    expect(() => insertTables(readme.replace("<!-- limits -->", ""))).toThrow("there is no <!-- limits -->");
  });
});
