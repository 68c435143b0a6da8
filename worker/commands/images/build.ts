import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { buildDockerfile } from "../../images/dockerfile/build-dockerfile.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";
import { buildShippedImage, listShippedImages } from "../../images/shipped.ts";
import { StepContainers } from "../../step-containers.ts";
import { BuildPrinter } from "./build-printer.ts";
import { Interruption } from "./interruption.ts";
import { openStore } from "./open-store.ts";
import { megabytes, summarize } from "./summary.ts";

interface BuildCommandOptions {
  readonly tag?: readonly string[];
  readonly file?: string;
  readonly buildArg: ReadonlyMap<string, string>;
  readonly target?: string;
  readonly network: "none" | "host";
  readonly cache: boolean;
  readonly all?: true;
  readonly verbose?: true;
}

/**
 * Two builds in one command: of a context of the operator's, named by `--tag`; and of the images in infra/images, by
 * their names. RUN has no network unless the operator says so: a Dockerfile from elsewhere is a stranger's program.
 */
export function buildCommand(): Command {
  return new Command("build")
    .description(
      "build an image from a Dockerfile (CONTEXT -t NAME), or some of those that come with Longshore (NAME…)",
    )
    .argument("[words...]", "a context with -t, else names of images under infra/images")
    .option("-t, --tag <name>", "name of the image; may be repeated", collect)
    .option("-f, --file <path>", "the Dockerfile, if it is not CONTEXT/Dockerfile")
    .option(
      "--build-arg <name=value>",
      "value of an ARG; without =value, that of the environment",
      addArgument,
      new Map(),
    )
    .option("--target <stage>", "stop at this stage")
    .addOption(
      new Option("--network <mode>", "what RUN can reach: nothing (none), or all that this host can (host)")
        .argParser(parseNetwork)
        .default("none"),
    )
    .option("--no-cache", "do every step anew")
    .option("--all", "all images that come with Longshore")
    .option("--verbose", "print what the steps print (always so with -t)")
    .action(async (words: string[], options: BuildCommandOptions) => {
      const { dataDirectory, idBase } = loadConfig(process.env);
      const store = await openStore();
      await using runner = new StepContainers({ dataDirectory, idBase });
      using interruption = new Interruption();
      const { signal } = interruption;
      if (options.tag === undefined) await buildShipped(store, words, options, runner, signal);
      else await buildContext(store, words, options.tag, options, runner, signal);
    });
}

async function buildContext(
  store: ImageStore,
  words: readonly string[],
  tags: readonly string[],
  options: BuildCommandOptions,
  runner: StepContainers,
  signal: AbortSignal,
): Promise<void> {
  const [context, ...more] = words;
  const [name, ...otherNames] = tags;
  if (context === undefined || name === undefined || more.length > 0 || options.all) {
    throw new Error("a build with -t takes one context: longshore images build CONTEXT -t NAME");
  }
  const printer = new BuildPrinter("verbose");
  const started = performance.now();
  const image = await buildDockerfile(store, {
    context: resolve(context),
    dockerfile: resolve(options.file ?? resolve(context, "Dockerfile")),
    names: [name, ...otherNames],
    arguments: options.buildArg,
    ...(options.target !== undefined && { target: options.target }),
    network: options.network,
    cache: options.cache ? "used" : "ignored",
    findImage: async (reference) => {
      const found = await store.resolve(reference);
      if (found !== undefined) return found;
      if (!(await listShippedImages()).includes(reference)) {
        throw new Error(`image ${reference} is not here: longshore images pull ${reference}`);
      }
      return buildShippedImage(store, reference, { runner, signal, onEvent: (of, event) => printer.print(of, event) });
    },
    runner,
    onEvent: (event) => printer.print(name, event),
    signal,
  });
  printResult(image, started);
}

async function buildShipped(
  store: ImageStore,
  words: readonly string[],
  options: BuildCommandOptions,
  runner: StepContainers,
  signal: AbortSignal,
): Promise<void> {
  if (options.file !== undefined || options.target !== undefined || options.buildArg.size > 0) {
    throw new Error("-f, --target and --build-arg are for a build of your own: say its name by -t");
  }
  const names = options.all ? await listShippedImages() : words;
  if (names.length === 0) {
    throw new Error(`say what to build: CONTEXT -t NAME, --all, or some of ${(await listShippedImages()).join(", ")}`);
  }
  const printer = new BuildPrinter(options.verbose ? "verbose" : "terse");
  for (const name of names) {
    const started = performance.now();
    const image = await buildShippedImage(store, name, {
      runner,
      signal,
      onEvent: (of, event) => printer.print(of, event),
    });
    printResult(image, started);
  }
}

function printResult(image: StoredImage, started: number): void {
  const { reference, digest, layers, bytes } = summarize(image);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${reference}: ${digest}, ${layers} layers, ${megabytes(bytes)}, ${seconds} s`);
}

function parseNetwork(mode: string): BuildCommandOptions["network"] {
  if (mode === "none" || mode === "host") return mode;
  const reason =
    mode === "bridge" ? "a bridge would need addresses and firewall rules on this host, see SECURITY.md: " : "";
  throw new InvalidArgumentError(`${reason}use none or host`);
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return previous.concat(value);
}

function addArgument(text: string, previous: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? process.env[name] : text.slice(equals + 1);
  if (value === undefined) throw new InvalidArgumentError(`${name} is not in the environment: write ${name}=value`);
  return new Map([...previous, [name, value]]);
}
