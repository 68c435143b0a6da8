/** Tar archives as they are read, in whatever pieces they come. */
import * as fc from "fast-check";
import { LayerRefusal } from "../../../worker/images/unpack/refusal.ts";
import { TarReader } from "../../../worker/images/unpack/tar-reader.ts";
import { archives } from "../archive-values.ts";
import { defineTarget, insistOnRefusal } from "../target.ts";

export const tarArchives = defineTarget({
  name: "tar archives",
  runs: 10_000,
  values: fc.record({
    archive: fc.oneof(
      { weight: 9, arbitrary: archives },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)) },
    ),
    pieces: fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 4 }),
  }),
  open:
    () =>
    ({ archive, pieces }) => {
      const whole = read(archive, [archive.length]);
      if (read(archive, pieces) !== whole) throw new Error("in pieces it is another archive");
    },
});

/** All that an archive says, up to where it is refused. */
function read(archive: Buffer, pieces: readonly number[]): string {
  const events: unknown[] = [];
  let content: Buffer[] = [];
  const reader = new TarReader({
    beginEntry: ({ xattrs, ...entry }) => events.push({ ...entry, xattrs: [...xattrs] }),
    data: (chunk) => content.push(Buffer.from(chunk)),
    endEntry() {
      events.push(Buffer.concat(content).toString("latin1"));
      content = [];
    },
  });
  try {
    for (let offset = 0, turn = 0; offset < archive.length; turn++) {
      const end = offset + Math.max(1, pieces[turn % pieces.length] ?? 1);
      reader.write(Buffer.from(archive.subarray(offset, end)));
      offset = end;
    }
    reader.end();
  } catch (error) {
    insistOnRefusal(error, LayerRefusal);
    events.push(String(error));
  }
  return JSON.stringify(events);
}
