/** From the words of `longshore run` to the body of `POST /v1/jobs`. */
import { isUtf8 } from "node:buffer";
import { readFile, stat } from "node:fs/promises";
import { basename, relative, sep } from "node:path";
import { encodeContent } from "../../shared/content.ts";
import { guessLanguage } from "./languages.ts";
import { describeEnvironment, describeLayers, describeLimits, type LimitOptions } from "./request-options.ts";

/** The options that become part of the request, as commander names them; limits are there under their own names. */
export interface RunOptions extends LimitOptions {
  readonly language?: string;
  readonly image?: string;
  readonly env?: readonly string[];
  readonly layer?: readonly string[];
  readonly volume?: readonly string[];
  readonly output?: readonly string[];
  readonly readonly?: true;
  readonly keepLayer?: true;
  readonly priority?: string;
}

/**
 * Reads the files and puts the request together, without stdin. What the API checks is left to the API.
 * Throws for what it could not know: files that cannot be read, an ending that names no language.
 */
export async function describeRequest(
  files: readonly string[],
  options: RunOptions,
  programWords: readonly string[],
): Promise<Record<string, unknown>> {
  return {
    ...(options.image === undefined
      ? await describePreset(files, options.language, programWords)
      : {
          image: options.image,
          // Without words, what the image says is run.
          ...(programWords.length > 0 && { command: programWords }),
          files: await Promise.all(files.map(describeFile)),
        }),
    environment: describeEnvironment(options.env),
    ...(options.layer !== undefined && { layers: describeLayers(options.layer) }),
    ...(options.volume !== undefined && { volumes: options.volume.map(splitVolume) }),
    limits: describeLimits(options),
    outputs: options.output ?? [],
    rootfs: options.readonly === true ? "readonly" : "writable",
    ...(options.keepLayer === true && { keepLayer: true }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  };
}

async function describePreset(
  files: readonly string[],
  given: string | undefined,
  programWords: readonly string[],
): Promise<Record<string, unknown>> {
  const [main = "", ...others] = files;
  const language = given ?? guessLanguage(main);
  if (language === undefined) throw new Error(`the ending of ${main} names no language: add --language or --image`);
  const source = await readFile(main);
  if (!isUtf8(source)) throw new Error(`${main} is not UTF-8, as source must be`);
  return {
    language,
    source: source.toString("utf8"),
    arguments: programWords,
    files: await Promise.all(others.map(describeFile)),
  };
}

async function describeFile(file: string): Promise<Record<string, unknown>> {
  const [content, status] = await Promise.all([readFile(file), stat(file)]);
  return { path: pathInContainer(file), ...encodeContent(content), executable: (status.mode & 0o111) !== 0 };
}

/** Files below the current directory keep their place; others lose their directory. */
function pathInContainer(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith(`..${sep}`) ? basename(file) : path.split(sep).join("/");
}

/** `NAME:PATH` or `NAME:PATH:MODE`; without a mode, the API's default. */
function splitVolume(volume: string): { name: string; at: string; mode?: string } {
  const [, name, at, mode] = /^([^:]+):([^:]+)(?::([a-z]+))?$/.exec(volume) ?? [];
  if (name === undefined || at === undefined)
    throw new Error(`--volume ${volume} is not NAME:PATH, NAME:PATH:ro or NAME:PATH:rw`);
  return { name, at, ...(mode !== undefined && { mode }) };
}
