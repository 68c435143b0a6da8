import { describe, expect, it } from "vitest";
import { type ContainerShape, shapeKey } from "../../../worker/container/plan/shape.ts";
import {
  type Expected,
  WaitingContainers,
  type WarmthOptions,
} from "../../../worker/container/slot/waiting-containers.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";
import { sampleSpec } from "./sample.ts";

/** A container of nothing but its name and its network. */
class Stub implements Disposable {
  state: "waiting" | "dead" | "disposed" = "waiting";
  readonly image: string;
  readonly network: Expected["network"];

  constructor({ shape, network }: Expected) {
    const [layer] = shape.layers;
    this.image = layer?.kind === "directory" ? layer.path : "";
    this.network = network;
  }

  isWaiting(): boolean {
    return this.state === "waiting";
  }

  [Symbol.dispose](): void {
    this.state = "disposed";
  }
}

function specOf(image: string, changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return { ...sampleSpec, layers: [{ kind: "directory", path: image }], ...changes };
}

/** A slot that runs and then has time for all that it wants to prepare. */
function slotWith(options: Partial<WarmthOptions> = {}) {
  const made: Stub[] = [];
  const outdated = new Set<string>();
  const waiting = new WaitingContainers<Stub>(
    { containersMax: 2, idleMs: 1000, ...options },
    (_, { image }) => !outdated.has(image),
  );
  const prepare = (expected: Expected): Stub => {
    const stub = new Stub(expected);
    made.push(stub);
    return stub;
  };
  const refill = () => {
    while (waiting.refill(prepare, undefined) === "more");
  };
  const run = (spec: ContainerSpec, nowMs = 0) => {
    const taken = waiting.take(spec, nowMs);
    refill();
    return taken;
  };
  const images = () => made.filter(({ state }) => state !== "disposed").map(({ image }) => image);
  return { waiting, made, outdated, refill, run, images };
}

describe("containers that wait", () => {
  it("are prepared for what has come twice, and taken by the third", () => {
    const { run } = slotWith();
    expect(run(specOf("/a"))).toBeUndefined();
    expect(run(specOf("/a"))).toBeUndefined();
    expect(run(specOf("/a"))?.image).toBe("/a");
  });

  it("are each taken once", () => {
    const { run } = slotWith();
    for (let round = 0; round < 2; round++) run(specOf("/a"));
    const taken = [run(specOf("/a")), run(specOf("/a"))];
    expect(taken[0]).toBeDefined();
    expect(taken[1]).toBeDefined();
    expect(taken[0]).not.toBe(taken[1]);
  });

  it("are not prepared for what comes once and never again", () => {
    const { run, made } = slotWith();
    for (let image = 0; image < 100; image++) run(specOf(`/${image}`));
    expect(made).toEqual([]);
  });

  it("are no more than they may be: those least in demand give way", () => {
    const { run, images, waiting } = slotWith();
    for (const image of ["/a", "/b", "/b", "/a", "/c", "/c", "/c", "/c", "/c", "/c", "/c", "/c"]) run(specOf(image));
    expect(waiting.count).toBe(2);
    expect(images()).toContain("/c");
  });

  it("do not take each other's places where all are wanted alike", () => {
    const { run, made } = slotWith();
    for (let round = 0; round < 5; round++) for (const image of ["/a", "/b", "/c"]) run(specOf(image));
    expect(made.filter(({ image, state }) => image === "/c" || state === "disposed")).toEqual([]);
  });

  it("are let go of when nobody has wanted them for long", () => {
    const { run, made, waiting } = slotWith();
    for (const nowMs of [0, 10]) run(specOf("/a"), nowMs);
    waiting.tidy(1010);
    expect(waiting.count).toBe(1);
    waiting.tidy(1011);
    expect([waiting.count, made[0]?.state]).toEqual([0, "disposed"]);
  });

  it("are let go of when they have died, or their image was exchanged", () => {
    const { run, made, outdated, waiting } = slotWith();
    for (const image of ["/a", "/a", "/b", "/b"]) run(specOf(image));
    const [first] = made;
    if (first !== undefined) first.state = "dead";
    outdated.add("/b");
    expect(waiting.take(specOf("/a"), 0)).toBeUndefined();
    waiting.tidy(0);
    expect(made.map(({ state }) => state)).toEqual(["disposed", "disposed"]);
  });

  it("are left alone for a while when they cannot be prepared", () => {
    const { waiting } = slotWith();
    for (let round = 0; round < 2; round++) waiting.take(specOf("/a"), 0);
    let attempts = 0;
    const fail = (): undefined => void attempts++;
    for (let round = 0; round < 5; round++) waiting.refill(fail, undefined);
    expect(attempts).toBe(1);
  });

  it("have a network of their own until ten programs in a row have made no socket", () => {
    const { waiting, refill, made } = slotWith();
    for (let run = 1; run <= 14; run++) {
      waiting.take(specOf("/a"), 0);
      if (run === 3) waiting.noteSocket(specOf("/a"));
      refill();
    }
    const [common, own] = ["common", "own"];
    // The first is prepared after the second run.
    expect(made.map(({ network }) => network)).toEqual([common, ...Array<string>(10).fill(own), common, common]);
  });

  it("are none where none may be", () => {
    const { run, made } = slotWith({ containersMax: 0 });
    for (let round = 0; round < 5; round++) run(specOf("/a"));
    expect(made).toEqual([]);
  });
});

describe("the shape of a container", () => {
  it("is the same whatever it runs, and however little it may use", () => {
    const key = shapeKey(sampleSpec);
    expect(key).toBeDefined();
    const limits = { ...sampleSpec.limits, memoryBytes: 1, cpus: 9, processes: 3, wallTimeMs: 7 };
    const other = { command: ["other"], environment: {}, files: [], stdin: Buffer.from("in"), limits } as const;
    expect(shapeKey({ ...sampleSpec, ...other })).toBe(key);
  });

  it("differs by layers, kind of root, size of disk, and the owner of a read-only root's /work", () => {
    const readonly = { ...sampleSpec, rootfs: "readonly" } as const;
    const user = { uid: 7, gid: 8 };
    const shapes: ContainerShape[] = [
      sampleSpec,
      { ...sampleSpec, layers: sampleSpec.layers.toReversed() },
      { ...sampleSpec, limits: { diskBytes: 1 } },
      readonly,
      { ...readonly, user },
    ];
    expect(new Set(shapes.map(shapeKey)).size).toBe(shapes.length);
    expect(shapeKey({ ...sampleSpec, user })).toBe(shapeKey(sampleSpec));
  });

  it.each<Partial<ContainerShape>>([
    { layers: [{ kind: "kept", name: "build" }] },
    { volumes: [{ source: "/srv", at: "/data", mode: "ro", whenEmpty: "leave" }] },
    { network: { kind: "join", descriptor: 5 } },
    { network: { kind: "host" } },
    { build: { scratchDirectory: "/scratch" } },
    { keepLayerAs: "build" },
  ])("is nothing to prepare for ahead with %j", (changes) => {
    expect(shapeKey({ ...sampleSpec, ...changes })).toBeUndefined();
  });
});
