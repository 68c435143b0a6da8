/**
 * Runs a Python program in weakened containers of the real runtime, once for each user, and prints what it printed.
 *
 *     WEAKENINGS='["no_new_privs"]' node --import ./hooks.ts run.ts LAYER PROGRAM ARGUMENT…
 */
import { TestSlot, text } from "../../support/container.ts";

const [layer, program, ...words] = process.argv.slice(2);
if (layer === undefined || program === undefined) throw new Error("usage: run.ts LAYER PROGRAM ARGUMENT…");

await using slot = await TestSlot.open();
for (const id of [0, 1000]) {
  const result = await slot.run(
    slot.spec(["python3", "-c", program, ...words], {
      user: { uid: id, gid: id },
      layers: [...slot.layers, { kind: "directory", path: layer }],
    }),
  );
  process.stdout.write(text(result.stdout));
  process.stderr.write(text(result.stderr));
}
