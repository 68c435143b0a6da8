import { describe, expect, it, test } from "vitest";
import { loadConfig } from "../../../shared/config.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import { checkVolumes, findPlaceFaults, type VolumeRequest, volumesSchema } from "../../../shared/volumes.ts";

const { volumes } = loadConfig({
  LONGSHORE_VOLUMES: "datasets=/srv/datasets, cache=/srv/cache:rw,models=/srv/models:ro",
});

function request(name: string, mode: VolumeRequest["mode"] = "ro"): VolumeRequest {
  return { name, at: "/data", mode };
}

describe("LONGSHORE_VOLUMES", () => {
  it("names directories, which are only read unless it says rw", () => {
    expect([...volumes.values()]).toEqual([
      { name: "datasets", path: "/srv/datasets", mode: "ro" },
      { name: "cache", path: "/srv/cache", mode: "rw" },
      { name: "models", path: "/srv/models", mode: "ro" },
    ]);
    expect(volumesSchema.parse("").size).toBe(0);
  });

  it.each([
    ["data", /name=\/path/],
    ["data=srv", /name=\/path/],
    ["data=/", /name=\/path/],
    ["data=/srv/../etc", /name=\/path/],
    ["data=/srv/", /name=\/path/],
    ["data=/srv:wr", /name=\/path/],
    ["Data=/srv", /name=\/path/],
    ["=/srv", /name=\/path/],
    ["a=/srv,", /name=\/path/],
    ["a=/srv,a=/opt", /a twice/],
    ["a=/srv,b=/srv/below:rw", /in one another/],
    ["a=/srv/below:rw,b=/srv", /in one another/],
    ["a=/srv,b=/srv", /in one another/],
  ])("cannot be %s", (text, message) => {
    expect(volumesSchema.safeParse(text).error?.issues[0]?.message).toMatch(message);
  });

  it("takes directories beside each other whose names begin alike", () => {
    expect(volumesSchema.parse("a=/srv/a,b=/srv/ab").size).toBe(2);
  });
});

describe("a job's volumes", () => {
  it("have to be known, and writable where it wants to write", () => {
    expect(() => checkVolumes([request("datasets"), request("cache", "rw")], volumes)).not.toThrow();
    expect(faultsOf([request("other"), request("datasets", "rw")])).toEqual([
      { path: "volumes[0].name", message: "is not known: choose one of datasets, cache, models" },
      { path: "volumes[1].mode", message: "is rw, but jobs may only read datasets" },
    ]);
  });

  function faultsOf(requested: readonly VolumeRequest[]) {
    try {
      checkVolumes(requested, volumes);
      return [];
    } catch (error) {
      return error instanceof LongshoreError ? error.details : [];
    }
  }
});

test.each([
  [["/data", "/work/data"], []],
  [["/data", "/data"], ["is at, above or below /data, where another volume is"]],
  [["/data/x", "/data"], ["is at, above or below /data/x, where another volume is"]],
  [["/work/in"], ["would hide the file in/a"]],
  [["/work"], ["would hide the file in/a", "holds the working directory, but outputs are not collected from volumes"]],
  [["/work/i"], []],
])("volumes at %j over a job's files are faulty for %j", (places, messages) => {
  const over = { workingDirectory: "/work", files: ["in/a"], outputs: ["*"] };
  const faults = findPlaceFaults(
    places.map((at) => ({ at })),
    over,
  );
  expect(faults.map(({ message }) => message)).toEqual(messages);
});
