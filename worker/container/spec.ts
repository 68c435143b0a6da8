/**
 * What a container is asked to do, and what comes of it.
 *
 * These types are the whole border between the jobs (what a client asked for) and the container
 * runtime (how Linux does it). They hold plain data only, because they cross a thread border.
 */

/** Limits of one container. Every value is finite and positive; `shared/limits.ts` sets defaults and maxima. */
export interface ContainerLimits {
  /** CPU bandwidth in cores; fractions allowed (0.5 is half of one core). */
  readonly cpus: number;
  /** CPU time of all processes of the container together, in milliseconds. */
  readonly cpuTimeMs: number;
  /** Time from the start of the command to its end, in milliseconds. */
  readonly wallTimeMs: number;
  /** Memory of the container, page cache and tmpfs included, in bytes; there is no swap beyond it. */
  readonly memoryBytes: number;
  /** Processes and threads alive at once. */
  readonly processes: number;
  /** Bytes kept of stdout, and as many again of stderr. */
  readonly outputBytes: number;
  /** Size of each writable file system of the container, in bytes. */
  readonly diskBytes: number;
  /** Size of the largest file that the program may write (RLIMIT_FSIZE), in bytes. */
  readonly fileBytes: number;
  /** Open descriptors of one process (RLIMIT_NOFILE). */
  readonly openFiles: number;
  /** Stack of the main thread (RLIMIT_STACK), in bytes. */
  readonly stackBytes: number;
}

/** A file put into the container before its command starts. */
export interface InputFile {
  /** Relative to the working directory; no `..`, no empty component, no NUL. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

/** One read-only layer of a container's root file system. */
export type Layer =
  /** A directory on the worker's disk, owned by ids 0 to 65535, shown to each slot through an idmapped mount. */
  | { readonly kind: "directory"; readonly path: string }
  /** The writable layer that an earlier run of the same slot kept under this name (`keepLayerAs`). */
  | { readonly kind: "kept"; readonly name: string };

/** A directory of the host that a container has mounted: data that outlives it, or that many share. */
export interface VolumeMount {
  /** Absolute and without a symlink in it: whoever could exchange a part of it would choose what is mounted. */
  readonly source: string;
  /** Absolute path inside the container; made when it is missing and the root can be written to. */
  readonly at: string;
  readonly mode: "ro" | "rw";
  /** `copy`: an empty volume starts with what the image has at its place, whoever mounts it first. */
  readonly whenEmpty: "copy" | "leave";
}

/**
 * What a container's network is. There is no `bridge`: a way out of the machine would need addresses, translation and
 * firewall rules on the host, for programs that nobody trusts.
 */
export type ContainerNetwork =
  /** A loopback of its own. */
  | { readonly kind: "none" }
  /** That of other containers, by its descriptor, see `Slot.openNetwork`. */
  | { readonly kind: "join"; readonly descriptor: number }
  /** The host's, with its resolv.conf. Only for image builds, whose package managers need it. */
  | { readonly kind: "host" };

/** Descriptors of this process that a container's streams lead to, in place of memory. */
export interface StreamDescriptors {
  /**
   * What the program reads. It is the run's from here on, which closes it when the container has ended, or there is
   * none: so whoever is at the other end of a pipe learns of the end after it has happened.
   */
  readonly stdin?: number;
  /** What the program writes to as its stdout, by itself: nothing of it is limited or returned. The run's, as `stdin`. */
  readonly stdout?: number;
  /** Gets what the program writes to stdout, up to `outputBytes`. The caller's own. */
  readonly stdoutCopy?: number;
  /** Bytes of each stream that are returned; `outputBytes` unless given, and no more than those. */
  readonly keptBytes?: number;
}

/** One command to be executed in a container of its own. */
export interface ContainerSpec {
  /** Lowest layer first. The init layer is not listed: every container gets it on top. */
  readonly layers: readonly Layer[];
  /** `writable`: a tmpfs of `diskBytes` over the layers; `readonly`: tmpfs on /work, /tmp and /dev/shm only. */
  readonly rootfs: "writable" | "readonly";
  /** argv; a first word without a slash is looked up in the PATH of `environment`. */
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute path inside the container; made when missing and the root is writable. */
  readonly workingDirectory: string;
  /** Ids inside the container, 0 to 65535; `groups` are the supplementary ones, none unless stated. */
  readonly user: { readonly uid: number; readonly gid: number; readonly groups?: readonly number[] };
  readonly files: readonly InputFile[];
  /** Absolute paths of directories that are made where they are missing, and the user's; only under a writable root. */
  readonly directories?: readonly string[];
  readonly stdin: Uint8Array;
  /** None of them when left out. */
  readonly streams?: StreamDescriptors;
  readonly limits: ContainerLimits;
  /**
   * Globs of the regular files to be returned: relative to the working directory or, under a writable root, to that one
   * where they begin with a slash.
   */
  readonly outputs: readonly string[];
  /** Without it, files are returned only as far as memory takes them. */
  readonly outputSpool?: OutputSpool;
  /** Files that are returned apart from `outputs`, and take no room of theirs. None when left out. */
  readonly reports?: ReportFiles;
  /** None when left out. */
  readonly volumes?: readonly VolumeMount[];
  /** `none` when left out. */
  readonly network?: ContainerNetwork;
  /** Only for image builds, see {@link BuildAbilities}. */
  readonly build?: BuildAbilities;
  /** Keep the writable layer in the slot under this name, for `Slot.keptLayer`, until `Slot.release(name)`. */
  readonly keepLayerAs?: string;
}

/**
 * What a step of an image build can do beyond a job. Builds execute what the operator asked for; jobs never get these.
 */
export interface BuildAbilities {
  /** An empty directory on the worker's disk that takes the writable layer, in place of memory; `diskBytes` does not bound it. */
  readonly scratchDirectory: string;
  /** Descriptor of this process that gets what the step prints, both streams as they come. It must take all of it. */
  readonly outputDescriptor?: number;
}

/**
 * How a run ended. The first that applies: what the slot ended the container for (output, wall, CPU),
 * what the kernel did (memory), what the program ran into and failed of (processes, disk), how it ended itself.
 */
export type Outcome =
  "exited" | "signaled" | "cpu_limit" | "wall_limit" | "memory_limit" | "output_limit" | "disk_limit" | "process_limit";

/** What was written to stdout or stderr. */
export interface OutputStream {
  /** The first `outputBytes` bytes. */
  readonly content: Uint8Array;
  /** More was written than is kept. */
  readonly truncated: boolean;
}

/** Where large files are put that a container returns, so that nobody has to hold them in memory. */
export interface OutputSpool {
  /** On the worker's disk; made when the first file comes. Whoever asked for the run removes it. */
  readonly directory: string;
  /** Of the files in it together. */
  readonly bytesMax: number;
}

/** Files that whoever asked for the run will read. */
export interface ReportFiles {
  /** As those of `outputs`. */
  readonly patterns: readonly string[];
  readonly filesMax: number;
  /** For those that are large, or more than memory should hold. */
  readonly spool: OutputSpool;
}

/** A file collected from the container, as it is or in the spool, or why it was not. */
export type OutputFile =
  | { readonly path: string; readonly content: Uint8Array; readonly sha256: string }
  | { readonly path: string; readonly file: string; readonly bytes: number; readonly sha256: string }
  | { readonly path: string; readonly error: string };

/** Resources used by a container's processes, without what its preparation took. */
export interface Usage {
  readonly cpuTimeMs: number;
  readonly userTimeMs: number;
  readonly systemTimeMs: number;
  readonly wallTimeMs: number;
  /** Peak of the memory cgroup: anonymous memory, tmpfs, kernel memory; not the page cache that it leaves behind. */
  readonly memoryPeakBytes: number;
  /** Resident set of the largest single process. */
  readonly maxRssBytes: number;
  /** Most processes and threads alive at once; null where the kernel does not count them (before 6.1). */
  readonly processesPeak: number | null;
}

/** What became of a container that started. */
export interface RunResult {
  readonly kind: "ended";
  readonly outcome: Outcome;
  /** 0 to 255 when the command exited by itself, else null. 127: command not found, 126: not executable. */
  readonly exitCode: number | null;
  /** Name such as `SIGSEGV` when a signal ended the command, else null. */
  readonly signal: string | null;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly outputs: readonly OutputFile[];
  /** Where the spec has `reports`. */
  readonly reports?: readonly OutputFile[];
  readonly usage: Usage;
  /** Whether its container was prepared before the run came, or for it. */
  readonly start: "warm" | "cold";
  /** When the command had ended, or was about to be killed, in milliseconds of CLOCK_MONOTONIC. */
  readonly endedAtMs: number;
  /** Milliseconds spent preparing the container, running it, and collecting what it left. */
  readonly timings: { readonly prepareMs: number; readonly runMs: number; readonly collectMs: number };
}

/** A step of the container's set-up failed: our fault or the host's, never the program's. */
export interface SetupFailure {
  readonly kind: "failed";
  /** Purpose of the step, e.g. `union mount`. */
  readonly purpose: string;
  /** Index in the plan, as `longshore explain` numbers it; -1 for work around the plan. */
  readonly step: number;
  /** System call, e.g. `fsmount`. */
  readonly call: string;
  /** Name of the error, e.g. `ENOSPC`. */
  readonly errno: string;
}

/** The run was ended by `Slot.cancel`; nothing of it is reported. */
export interface Canceled {
  readonly kind: "canceled";
}

/** Something outside ended the container before its program had ended: what that would have done nobody knows. */
export interface Interrupted {
  readonly kind: "interrupted";
  /** `init killed`: somebody with power over the machine did; `no memory`: not that of its own limit, but all there is. */
  readonly reason: "init killed" | "no memory";
}

/** What a slot answers to a {@link ContainerSpec}. */
export type ContainerResult = RunResult | SetupFailure | Interrupted | Canceled;
