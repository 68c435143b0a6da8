import { Command, InvalidArgumentError, Option } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { StepContainers } from "../../step-containers.ts";
import { PULL_TIMES } from "./base-images.ts";
import { buildContext, type ContextBuild } from "./build-context.ts";
import { buildShipped } from "./build-shipped.ts";
import { Interruption } from "./interruption.ts";
import { insistOnName } from "./new-name.ts";
import { openStore } from "./open-store.ts";
import { printImage } from "./summary.ts";

interface BuildOptions {
  readonly tag?: readonly [string, ...string[]];
  readonly file?: string;
  readonly buildArg?: ReadonlyMap<string, string>;
  readonly target?: string;
  readonly network: ContextBuild["network"];
  readonly cache: boolean;
  readonly pull: ContextBuild["pull"];
  readonly all?: true;
  readonly verbose?: true;
}

/** Options of a build of one's own, as commander names them; images that come with Longshore are built one way only. */
const OWN_OPTIONS = {
  file: "-f",
  buildArg: "--build-arg",
  target: "--target",
  network: "--network",
  cache: "--no-cache",
  pull: "--pull",
};

/**
 * Two builds: of a context of the operator's, named by `--tag` (`build-context.ts`); and of the images in infra/images,
 * by their names (`build-shipped.ts`). RUN has no network unless the operator says so: a Dockerfile from elsewhere is a
 * stranger's program.
 */
export function buildCommand(): Command {
  const command = new Command("build")
    .usage("CONTEXT -t NAME [options] | NAME... | --all")
    .description("build an image from a Dockerfile, or some of those that come with Longshore")
    .argument("[words...]", "a context with -t, else names of images under infra/images")
    .option("-t, --tag <name>", "name of the image; may be repeated", collectNames)
    .option("-f, --file <path>", "the Dockerfile, if it is not CONTEXT/Dockerfile")
    .option("--build-arg <name=value>", "value of an ARG; without =value, that of the environment", addArgument)
    .option("--target <stage>", "stop at this stage")
    .addOption(
      new Option("--network <mode>", "what RUN can reach: nothing (none), or all that this host can (host)")
        .argParser(parseNetwork)
        .default("none"),
    )
    .option("--no-cache", "do every step anew")
    .addOption(
      new Option("--pull <when>", "when to ask registries for the images that it starts from")
        .choices(PULL_TIMES)
        .default("missing"),
    )
    .option("--all", "all images that come with Longshore")
    .option("--verbose", "print what the steps print (always so with -t)")
    .addHelpText("after", examples);
  return command.action(async (words: string[], options: BuildOptions) => {
    const build = options.tag === undefined ? undefined : describeContext(words, options.tag, options);
    if (build === undefined) refuseOwnOptions(command);
    const { dataDirectory, idBase } = loadConfig(process.env);
    const store = await openStore();
    await using runner = new StepContainers({ dataDirectory, idBase });
    using interruption = new Interruption();
    const { signal } = interruption;
    let started = performance.now();
    const report = (image: Parameters<typeof printImage>[0]): void => {
      printImage(image, `${((performance.now() - started) / 1000).toFixed(1)} s`);
      started = performance.now();
    };
    if (build !== undefined) return report(await buildContext(store, build, runner, signal));
    const verbosity = options.verbose === true ? "verbose" : "terse";
    for await (const image of buildShipped(store, options.all ? "all" : words, verbosity, runner, signal))
      report(image);
  });
}

const examples = `
Examples:
  longshore images build . -t tools:1                    from ./Dockerfile
  longshore images build . -t tools:1 --network host     with the host's network in RUN
  longshore images build . -t tools:1 -f ci/Dockerfile --target test --build-arg VERSION=2
  longshore images build python cpp                      images of languages, as infra/images has them`;

/** @throws when it is not one context that is to be built */
function describeContext(
  words: readonly string[],
  names: readonly [string, ...string[]],
  { file, buildArg = new Map(), target, network, cache, pull, all }: BuildOptions,
): ContextBuild {
  const [context, ...more] = words;
  if (context === undefined || more.length > 0 || all === true) {
    throw new Error("a build with -t takes one context: longshore images build CONTEXT -t NAME");
  }
  return { context, names, file, arguments: buildArg, target, network, cache: cache ? "used" : "ignored", pull };
}

function refuseOwnOptions(command: Command): void {
  const given = Object.entries(OWN_OPTIONS).filter(([name]) => command.getOptionValueSource(name) === "cli");
  if (given.length === 0) return;
  const names = given.map(([, option]) => option).join(", ");
  throw new Error(`without -t, ${names} would mean nothing: say by -t what your image is called`);
}

function parseNetwork(mode: string): BuildOptions["network"] {
  if (mode === "none" || mode === "host") return mode;
  const reason =
    mode === "bridge" ? "a bridge would need addresses and firewall rules on this host, see SECURITY.md: " : "";
  throw new InvalidArgumentError(`${reason}use none or host`);
}

function collectNames(name: string, previous: readonly string[] = []): readonly string[] {
  insistOnName(name);
  return previous.concat(name);
}

function addArgument(text: string, previous: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? process.env[name] : text.slice(equals + 1);
  if (value === undefined) throw new InvalidArgumentError(`${name} is not in the environment: write ${name}=value`);
  return new Map([...previous, [name, value]]);
}
