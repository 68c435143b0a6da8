/** What images of tests start from: the machine's own `bash`, in a registry. */
import { pushImage } from "../../../worker/images/registry/push.ts";
import { makeDataDirectory } from "../images.ts";
import { settings } from "./settings.ts";

/**
 * Puts it there as `base:1`.
 * @param registry `host:port`
 * @returns its name
 */
export async function publishBase(registry: string): Promise<string> {
  await using machine = await makeDataDirectory("bash");
  const bash = await machine.images.resolve("bash");
  if (bash === undefined) throw new Error("image bash is not built");
  return (await pushImage(machine.images, bash, `${registry}/base:1`, settings)).reference;
}
