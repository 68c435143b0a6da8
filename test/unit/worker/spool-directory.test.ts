import { existsSync, mkdirSync, mkdtempDisposableSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SpoolDirectory } from "../../../worker/spool-directory.ts";

it("a spool is removed with its content when its worker ends, or by the next one if that one was killed", async () => {
  using data = mkdtempDisposableSync(join(tmpdir(), "longshore-spool-"));
  const parent = join(data.path, "outputs");
  const left = join(parent, "w0", "attempt");
  mkdirSync(left, { recursive: true });
  writeFileSync(join(left, "0"), "content");
  mkdirSync(join(parent, "nobody's"));
  {
    await using living = await SpoolDirectory.open(parent, "w1");
    writeFileSync(join(living.path, "0"), "content");
    await using other = await SpoolDirectory.open(parent, "w2");
    expect(statSync(other.path).mode & 0o777).toBe(0o700);
    await other.removeAbandoned((name) => name.startsWith("w"));
    expect(readdirSync(parent).toSorted()).toEqual(["nobody's", "w1", "w2"]);
    expect(existsSync(join(living.path, "0"))).toBe(true);
  }
  expect(readdirSync(parent)).toEqual(["nobody's"]);
});
