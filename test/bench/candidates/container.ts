import type { ContainerTime } from "../threads/container.ts";
import type { Rootfs } from "../workbench.ts";
import type { Candidate } from "./candidate.ts";

/** A Longshore container, measured in its slot's thread: as long as its job waits, or until the slot is free again. */
export function container(rootfs: Rootfs, until: keyof ContainerTime): Candidate {
  const end = {
    result: "until there is a result",
    whole: "until the container is gone and the slot is ready for the next",
  } as const;
  return {
    name: until === "result" ? `container-${rootfs}` : `container-${rootfs}-whole`,
    measures: `${rootfs} root, inside the slot, ${end[until]}`,
    ...(until === "result" && { lacks: "its removal and the next network, done after the result is out" }),
    async open({ containers }) {
      return { kind: "ready", measure: async () => (await containers.time(rootfs))[until] };
    },
  };
}
