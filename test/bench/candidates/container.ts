import type { ContainerStart } from "../threads.ts";
import type { ContainerTime } from "../threads/container.ts";
import type { Rootfs } from "../workbench.ts";
import type { Candidate } from "./candidate.ts";

/** A Longshore container, measured in its slot's thread: as long as its job waits, or until the slot is free again. */
export function container(rootfs: Rootfs, start: ContainerStart, until: keyof ContainerTime): Candidate {
  const beginning = {
    cold: "made for the job, of a sandbox that any job could have had",
    warm: "prepared before there is a job",
  } as const;
  const end = {
    result: "until there is a result",
    whole: "until the container is gone and the slot is ready for the next",
  } as const;
  const name = start === "warm" ? `warm-${rootfs}` : `container-${rootfs}`;
  return {
    name: until === "result" ? name : `${name}-whole`,
    measures: `${rootfs} root, ${beginning[start]}, inside the slot, ${end[until]}`,
    ...(until === "result" && { lacks: "its removal and the next sandbox, done after the result is out" }),
    async open({ containers }) {
      return { kind: "ready", measure: async () => (await containers.time(rootfs, undefined, start))[until] };
    },
  };
}
