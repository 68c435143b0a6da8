/** A short part of `npm run fuzz`: other values each time. */
import { describe } from "vitest";
import { checkTargets } from "../../fuzz/check-targets.ts";
import { pureTargets } from "../../fuzz/targets/index.ts";

describe("is taken or refused, never anything else:", () => {
  checkTargets(pureTargets);
});
