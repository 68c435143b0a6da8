import type { BenchProgram } from "../bench-program.ts";
import { compare } from "./compare.ts";
import { fidelity } from "./fidelity.ts";
import { growth } from "./growth.ts";
import { images } from "./images.ts";
import { load } from "./load.ts";
import { memory } from "./memory.ts";
import { scale } from "./scale.ts";
import { soak } from "./soak.ts";
import { stages } from "./stages.ts";
import { steps } from "./steps.ts";

/** All that can be measured; the first when the command line names none. */
export const programs: readonly [BenchProgram, ...BenchProgram[]] = [
  compare,
  steps,
  stages,
  load,
  scale,
  growth,
  soak,
  memory,
  images,
  fidelity,
];
