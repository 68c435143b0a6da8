import { hostArchitecture, type ImageConfig } from "./oci.ts";
import type { Recipe } from "./recipe.ts";
import type { StoredLayer } from "./layers.ts";
import type { StoredImage } from "./store.ts";

/**
 * The OCI configuration of an image made by `recipe` on top of `base`.
 * @param added the layer that the recipe added, when it adds any
 */
export function configurationOf(
  recipe: Recipe,
  base: StoredImage | undefined,
  added: StoredLayer | undefined,
  created: string,
): ImageConfig {
  const inherited = base?.config.config ?? {};
  const workingDirectory = recipe.workingDirectory ?? inherited.WorkingDir;
  const user = recipe.user ?? inherited.User;
  const command = recipe.command ?? inherited.Cmd;
  const by = `longshore recipe ${recipe.name}`;
  return {
    created,
    architecture: hostArchitecture(),
    os: "linux",
    config: {
      Env: mergeEnvironment(inherited.Env ?? [], recipe.environment),
      ...(command && { Cmd: command }),
      ...(workingDirectory !== undefined && { WorkingDir: workingDirectory }),
      ...(user !== undefined && { User: user }),
    },
    rootfs: { type: "layers", diff_ids: [...(base?.config.rootfs.diff_ids ?? []), ...(added ? [added.digest] : [])] },
    history: [...(base?.config.history ?? []), { created, created_by: by, ...(!added && { empty_layer: true }) }],
  };
}

/** `NAME=value` entries, in order of first mention; a later value wins. */
function mergeEnvironment(inherited: readonly string[], added: Readonly<Record<string, string>>): string[] {
  const merged = new Map(inherited.map((entry) => [entry.slice(0, entry.indexOf("=")), entry] as const));
  for (const [name, value] of Object.entries(added)) merged.set(name, `${name}=${value}`);
  return [...merged.values()];
}
