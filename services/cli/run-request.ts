/** From the words of `longshore run` to the body of `POST /v1/jobs`. */
import { isUtf8 } from "node:buffer";
import { readFile, stat } from "node:fs/promises";
import { basename, relative, sep } from "node:path";
import { encodeContent } from "../../shared/content.ts";
import { limitNames, type LimitName } from "../../shared/limits.ts";
import { guessLanguage } from "./languages.ts";

/** The options that become part of the request, as commander names them; limits are there under their own names. */
export interface RunOptions extends Readonly<Partial<Record<LimitName, string>>> {
  readonly language?: string;
  readonly image?: string;
  readonly env?: readonly string[];
  readonly layer?: readonly string[];
  readonly output?: readonly string[];
  readonly readonly?: true;
  readonly keepLayer?: true;
  readonly priority?: string;
}

/** `cpuTimeMs` → `--cpu-time-ms`, which commander turns back into `cpuTimeMs`. */
export function limitOption(name: LimitName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
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
    environment: Object.fromEntries((options.env ?? []).map(splitVariable)),
    ...(options.layer !== undefined && { layers: options.layer.map(splitLayer) }),
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

function splitVariable(assignment: string): [string, string] {
  const equals = assignment.indexOf("=");
  if (equals <= 0) throw new Error(`--env ${assignment} is not NAME=VALUE`);
  return [assignment.slice(0, equals), assignment.slice(equals + 1)];
}

function splitLayer(layer: string): { blob: string; at: string } {
  const equals = layer.indexOf("=");
  if (equals <= 0) throw new Error(`--layer ${layer} is not DIGEST=PATH`);
  return { blob: layer.slice(0, equals), at: layer.slice(equals + 1) };
}

function describeLimits(options: RunOptions): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const name of limitNames) {
    const text = options[name];
    if (text === undefined) continue;
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`${limitOption(name)} ${text} is not a number`);
    limits[name] = value;
  }
  return limits;
}
