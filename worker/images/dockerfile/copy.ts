import { recognizeArchive, unpackArchive } from "./archive.ts";
import { type FileTree, isDirectory, nameOf, parentOf, resolveIn, type TreeEntry } from "../tree/file-tree.ts";
import type { CopyWork } from "./interpret.ts";
import { type Attributes, attributesOf, type LayerDraft } from "./layer-draft.ts";
import { readContent, type Source } from "./sources.ts";
import { type Ids, resolveOwner } from "../tree/users.ts";

/** Who owns what comes from the context; what comes from a stage or an image keeps its owner. */
const ROOT: Ids = { uid: 0, gid: 0 };

/** Permissions of documents, and of directories made on the way. */
const DOCUMENT_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/**
 * Carries out a COPY or an ADD in a draft.
 * @param tree where the sources were found
 * @throws when the destination cannot take them
 */
export async function copyInto(
  draft: LayerDraft,
  work: CopyWork,
  tree: FileTree,
  sources: readonly Source[],
): Promise<void> {
  const owner = work.chown === undefined ? undefined : resolveOwner(draft, work.chown);
  const mode = work.chmod === undefined ? undefined : parseMode(work.chmod);
  const copier = new Copier(draft, tree, owner ?? (work.from === undefined ? ROOT : undefined), mode);
  const intoDirectory = needsDirectory(draft, work, sources);

  for (const source of sources) {
    const { entry } = source;
    if (entry === "root" || entry.status.isDirectory()) {
      copier.copyContents(entry, copier.destinationDirectory(work.destination, entry));
      continue;
    }
    const archive =
      work.archives === "unpacked" && entry.status.isFile() ? await recognizeArchive(tree, entry.path) : undefined;
    if (archive !== undefined) {
      const directory = copier.destinationDirectory(work.destination);
      await unpackArchive(tree, entry.path, archive, draft, directory, owner);
      continue;
    }
    const { directory, name } = copier.placeOf(work.destination, intoDirectory ? source.name : undefined);
    await copier.copyFile(entry, directory, name);
  }
  for (const document of work.documents) {
    const { directory, name } = copier.placeOf(work.destination, intoDirectory ? document.name : undefined);
    await draft.writeFile(directory, name, [Buffer.from(document.content)], {
      ...(owner ?? ROOT),
      mode: mode ?? DOCUMENT_MODE,
    });
  }
  await copier.copyPending();
}

/** Whether files keep their names below the destination, or take its name. */
function needsDirectory(draft: LayerDraft, work: CopyWork, sources: readonly Source[]): boolean {
  const isThere = isDirectory(resolveIn(draft, work.destination));
  if (work.destination.endsWith("/") || isThere) return true;
  if (sources.length + work.documents.length <= 1) return false;
  throw new Error(
    `${sources.length + work.documents.length} files cannot all become ${work.destination}: write ${work.destination}/`,
  );
}

/** @throws when it is not octal */
function parseMode(text: string): number {
  if (!/^[0-7]{1,4}$/.test(text))
    throw new Error(`--chmod=${text} is not supported: write the mode in octal, as in 755`);
  return Number.parseInt(text, 8);
}

class Copier {
  readonly #draft: LayerDraft;
  readonly #tree: FileTree;
  readonly #owner: Ids | undefined;
  readonly #mode: number | undefined;
  readonly #pending: { readonly entry: TreeEntry; readonly directory: string }[] = [];

  constructor(draft: LayerDraft, tree: FileTree, owner: Ids | undefined, mode: number | undefined) {
    this.#draft = draft;
    this.#tree = tree;
    this.#owner = owner;
    this.#mode = mode;
  }

  /** The directory that contents go to; a new one looks like the source. */
  destinationDirectory(path: string, like?: TreeEntry | "root"): string {
    const isThere = isDirectory(resolveIn(this.#draft, path));
    const made = this.#draft.makeDirectory(path, this.#directory());
    if (!isThere && like !== undefined && like !== "root") this.#draft.setDirectory(made, this.#attributes(like));
    return made;
  }

  /** Where a single file goes; links at the destination are followed. */
  placeOf(destination: string, nameBelow: string | undefined): { directory: string; name: string } {
    if (nameBelow !== undefined) {
      return { directory: this.#draft.makeDirectory(destination, this.#directory()), name: nameBelow };
    }
    const { path } = resolveIn(this.#draft, destination);
    return { directory: this.#draft.makeDirectory(parentOf(path), this.#directory()), name: nameOf(path) };
  }

  /** Puts a directory's contents on a list, its directories first. */
  copyContents(from: TreeEntry | "root", directory: string): void {
    const path = from === "root" ? "" : from.path;
    for (const name of this.#tree.list(path)) {
      const entry = this.#tree.lookUp(path, name);
      if (entry === undefined) continue;
      if (entry.status.isDirectory()) {
        this.copyContents(entry, this.destinationDirectory(`${directory}/${name}`, entry));
      } else this.#pending.push({ entry, directory });
    }
  }

  async copyPending(): Promise<void> {
    for (const { entry, directory } of this.#pending) await this.copyFile(entry, directory, nameOf(entry.path));
  }

  async copyFile(entry: TreeEntry, directory: string, name: string): Promise<void> {
    const { status, target, path } = entry;
    if (target !== undefined) this.#draft.makeSymlink(directory, name, target, this.#attributes(entry));
    else if (status.isFile()) {
      await this.#draft.writeFile(directory, name, readContent(this.#tree, path), this.#attributes(entry));
    } else if (status.isSocket()) throw new Error(`${path} is a socket, which cannot be in a layer`);
    else {
      const device = {
        major: (status.rdev >>> 8) & 0xfff,
        minor: (status.rdev & 0xff) | ((status.rdev >>> 12) & 0xfff00),
      };
      this.#draft.makeNode(
        directory,
        name,
        status.mode & 0o170000,
        status.isFIFO() ? { major: 0, minor: 0 } : device,
        this.#attributes(entry),
      );
    }
  }

  #directory(): Attributes {
    return { ...(this.#owner ?? ROOT), mode: DIRECTORY_MODE };
  }

  #attributes(entry: TreeEntry): Attributes {
    const attributes = attributesOf(this.#tree, entry);
    return { ...attributes, ...this.#owner, mode: this.#mode ?? attributes.mode };
  }
}
