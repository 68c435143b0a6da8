import { isDigest } from "../../../shared/digest.ts";
import { parseReference } from "../../../shared/image-reference.ts";

/**
 * Makes sure that an image can be called so: by what a registry would take, too, and by no digest, which is another
 * image's or its own.
 * @throws {ReferenceError} for what is no reference
 */
export function insistOnName(name: string): void {
  if (isDigest(name) || parseReference(name).digest !== undefined)
    throw new Error(`${name} is a digest: give the image a name`);
}
