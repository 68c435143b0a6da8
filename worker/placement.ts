/** Whether a job should be done by another worker, for the sake of its images. */
import type { ImageNeed } from "../shared/image-needs.ts";
import { namesOf } from "../shared/image-reference.ts";
import type { WorkerInfo, WorkerRegistry } from "../shared/workers.ts";
import { isDigest } from "./images/digest.ts";
import { mayBePulled } from "./jobs/image.ts";
import type { JobContext } from "./jobs/context.ts";

export interface PlacementOptions extends Pick<JobContext, "images" | "presets" | "pull" | "worker"> {
  readonly workers: Pick<WorkerRegistry, "list">;
}

export class Placement {
  readonly #options: PlacementOptions;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  /** Whether this worker has images of all these names. Where it has not, {@link isElsewhere} says whether it may do the job. */
  hasAll(needs: readonly ImageNeed[]): boolean {
    const { references } = this.#options.images;
    return needs.every((need) => this.#namesOf(need).some((name) => references.has(name)));
  }

  /**
   * Whether this worker lacks an image that it must not pull, and another one that is alive has all of them. When none
   * has, any worker can say so to the client.
   */
  async isElsewhere(needs: readonly ImageNeed[]): Promise<boolean> {
    let isLacking = false;
    for (const need of needs) isLacking ||= !(await this.#canHave(need));
    if (!isLacking) return false;
    const { worker, workers } = this.#options;
    const others = (await workers.list()).filter(({ id }) => id !== worker);
    return others.some((other) => needs.every((need) => has(other, this.#namesOf(need))));
  }

  async #canHave(need: ImageNeed): Promise<boolean> {
    const { images, pull } = this.#options;
    for (const name of this.#namesOf(need)) {
      const isHere = isDigest(name) ? (await images.resolve(name)) !== undefined : await images.references.get(name);
      if (isHere) return true;
    }
    return "image" in need && mayBePulled(need.image, pull);
  }

  #namesOf(need: ImageNeed): readonly string[] {
    if ("image" in need) return namesOf(need.image);
    const preset = this.#options.presets.get(need.language);
    return preset === undefined ? [] : [preset.image];
  }
}

function has({ images }: WorkerInfo, names: readonly string[]): boolean {
  return images.some(({ reference, digest }) => names.includes(reference) || names.includes(digest));
}
