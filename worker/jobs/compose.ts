/**
 * From a request to the containers that carry it out.
 *
 *   interpreted:  [ image, inputs | source, files ] ─ run
 *   compiled:     [ image, inputs | source, files ] ─ build ─▶ its writable layer, kept
 *                 [ image, inputs | kept layer    ] ─ run
 */
import { posix } from "node:path";
import { decodeContent } from "../../shared/content.ts";
import type { RunRequest } from "../../shared/job-request.ts";
import { describeWorkingDirectoryFault } from "../../shared/job-request-rules.ts";
import { resolveLimits, type Limits } from "../../shared/limits.ts";
import type { Preset } from "../../shared/presets.ts";
import type { Volumes } from "../../shared/volumes.ts";
import type { ContainerSpec, InputFile, Layer } from "../container/spec.ts";
import type { StoredImage } from "../images/store.ts";
import type { User } from "../images/tree/users.ts";
import { commandOf, environmentOf, UnusableImageError, workingDirectoryOf } from "./process-settings.ts";
import { insistOnVolumePlaces, volumesOf } from "./volumes.ts";

/** What a request resolves to on this worker. */
export interface Program {
  readonly image: StoredImage;
  /** Directories of the layers that the request brings, lowest first. */
  readonly inputs: readonly string[];
  /** The preset of the request's language; undefined when it names an image and a command itself. */
  readonly preset: Preset | undefined;
  /** What this worker lets jobs mount. */
  readonly volumes: Volumes;
  /** Who the image's processes run as. */
  readonly user: User;
}

/** The containers of a job of kind `run`, in the order in which they run. */
export interface RunPlan {
  readonly build: (ContainerSpec & { readonly keepLayerAs: string }) | undefined;
  readonly run: ContainerSpec;
}

/** Name under which a slot keeps the layer of a build; it holds one job at a time. */
const BUILD_LAYER = "build";

/** And that of the program itself, where the job wants it kept. */
const RUN_LAYER = "run";

/** Where a program is built that runs with a read-only root: there, a tmpfs covers the working directory. */
const READONLY_BUILD_DIRECTORY = "/build";

/**
 * Composes the containers for a request.
 * @param maxima the largest limits that this server grants; the limits of a preset's build are cut to them
 * @throws {UnusableImageError | UnusableVolumeError}
 */
export function composeRun(request: RunRequest, program: Program, maxima: Limits): RunPlan {
  const plan = compose(request, program, maxima);
  for (const spec of [plan.build, plan.run]) if (spec !== undefined) insistOnVolumePlaces(spec);
  return plan;
}

function compose(request: RunRequest, program: Program, maxima: Limits): RunPlan {
  const { image, inputs, preset, user } = program;
  const files = inputFiles(request, preset);
  const workingDirectory = directoryOf(request, image);
  const common = {
    layers: [...image.lowerDirs, ...inputs].map((path): Layer => ({ kind: "directory", path })),
    environment: environmentOf(image.config, user.home, request.environment),
    user: { uid: user.uid, gid: user.gid, groups: user.groups },
    volumes: volumesOf(request, program.volumes),
  };
  const run: ContainerSpec = {
    ...common,
    rootfs: request.rootfs,
    command: wordsOf(request, program),
    workingDirectory,
    files,
    stdin: decodeContent(request.stdin),
    limits: request.limits,
    outputs: request.outputs,
    ...(request.keepLayer && { keepLayerAs: RUN_LAYER }),
  };
  if (preset?.build === undefined) return { build: undefined, run };

  const buildDirectory = request.rootfs === "readonly" ? READONLY_BUILD_DIRECTORY : workingDirectory;
  return {
    build: {
      ...common,
      rootfs: "writable",
      command: nonEmpty(preset.build.command),
      workingDirectory: buildDirectory,
      files,
      stdin: new Uint8Array(),
      limits: resolveLimits(maxima, {}, preset.build.limits),
      outputs: [],
      keepLayerAs: BUILD_LAYER,
    },
    run: {
      ...run,
      ...runAfterBuild(run, buildDirectory),
      layers: [...common.layers, { kind: "kept", name: BUILD_LAYER }],
    },
  };
}

/** In the directory of its build, a program finds its files. In another one it needs them, and its own path. */
function runAfterBuild(run: ContainerSpec, buildDirectory: string): Pick<ContainerSpec, "command" | "files"> {
  if (run.workingDirectory === buildDirectory) return { command: run.command, files: [] };
  const [program, ...rest] = run.command;
  const path = program.startsWith("./") ? posix.join(buildDirectory, program) : program;
  return { command: [path, ...rest], files: run.files };
}

/** A command that is given takes the place of the image's Entrypoint and Cmd, both: it is what runs. */
function wordsOf(request: RunRequest, { image, preset }: Program): ContainerSpec["command"] {
  const given = preset?.run ?? request.command;
  return given === undefined ? commandOf(image.config, request.arguments) : nonEmpty([...given, ...request.arguments]);
}

function directoryOf(request: RunRequest, image: StoredImage): string {
  if (request.workingDirectory !== undefined) return request.workingDirectory;
  const directory = workingDirectoryOf(image.config);
  const fault = describeWorkingDirectoryFault(directory, request);
  if (fault === undefined) return directory;
  throw new UnusableImageError(`its WorkingDir ${directory} ${fault}, as the job's workingDirectory`);
}

function inputFiles(request: RunRequest, preset: Preset | undefined): InputFile[] {
  const files = request.files.map(({ path, content, encoding, executable }) => ({
    path,
    content: decodeContent({ content, encoding }),
    executable,
  }));
  if (preset === undefined || request.source === undefined) return files;
  return [{ path: preset.fileName, content: decodeContent(request.source), executable: false }, ...files];
}

function nonEmpty(words: readonly string[]): readonly [string, ...string[]] {
  const [first, ...rest] = words;
  if (first === undefined) throw new Error("a request without a command was accepted");
  return [first, ...rest];
}
