/** What tests look at in an image that was built. */
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { resolveIn } from "../../../worker/images/tree/file-tree.ts";
import type { StoredImage } from "../../../worker/images/store.ts";
import { treeOf } from "./builder.ts";

/** Content of a file of an image. */
export async function read({ layers }: StoredImage, path: string): Promise<string> {
  const layer = layers.findLast((one) => existsSync(join(one.path, path)));
  return readFile(join(layer?.path ?? "", path), "utf8");
}

/** Where the files of its last layer are. */
export function topOf({ layers }: StoredImage): string {
  return layers.at(-1)?.path ?? "";
}

/** All paths below a directory, sorted. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
}

/** Owner and permissions of a file of an image. */
export function ownerOf(image: StoredImage, path: string): string {
  using tree = treeOf(image);
  const { entry } = resolveIn(tree, path, "kept");
  if (entry === undefined || entry === "root") return "none";
  const { uid, gid, mode } = entry.status;
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
}
