/** Preloaded (`node --import`), in every thread: whoever imports the planning of containers gets the weakened one. */
import { registerHooks } from "node:module";

const whole = new URL("../../../worker/container/plan/plan.ts", import.meta.url).href;
const weakened = new URL("plan.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    return resolved.url === whole && context.parentURL !== weakened ? { ...resolved, url: weakened } : resolved;
  },
});
