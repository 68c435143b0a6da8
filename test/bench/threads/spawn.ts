/**
 * A thread that starts programs as a slot starts the launcher, with posix_spawn and without Node's child processes, and
 * blocks until they are over. Like a slot it has a mount namespace of its own.
 */
import { closeSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { workerData } from "piscina";
import { CLONE, MS } from "../../../worker/linux/constants.ts";
import { cString, mustCall } from "../../../worker/linux/libc.ts";
import { reap } from "../../../worker/linux/process.ts";
import { spawn } from "../../../worker/linux/spawn.ts";

/** What the thread is started with. */
export interface SpawnThreadData {
  /** A file for what programs write to stderr. */
  readonly stderr: string;
  /** A directory whose content this thread does not see; none when left out. */
  readonly hidden?: string;
}

/** A command to be run once, with an empty environment. */
export interface SpawnTask {
  readonly command: readonly [string, ...string[]];
  /** A file that the command finds open as its descriptor 3. */
  readonly input?: string;
}

const data = workerData as SpawnThreadData;
leaveMountNamespace();
const nothing = openSync("/dev/null", "r+");
const stderr = openSync(data.stderr, "a");

/**
 * Runs a command to its end.
 * @returns nanoseconds from before posix_spawn until it is reaped
 * @throws {Error} when it does not exit with 0; the message ends with what it wrote to stderr
 */
export default function measure({ command, input }: SpawnTask): number {
  using resources = new DisposableStack();
  const descriptors = [nothing, nothing, stderr];
  if (input !== undefined) descriptors.push(resources.adopt(openSync(input, "r"), closeSync));

  const began = process.hrtime.bigint();
  const { exitCode } = reap(spawn(command[0], descriptors, command));
  const elapsed = process.hrtime.bigint() - began;

  if (exitCode !== 0) {
    const said = readFileSync(data.stderr, "utf8").trim();
    ftruncateSync(stderr);
    throw new Error(`${command[0]} ended with ${exitCode ?? "a signal"}: ${said}`);
  }
  return Number(elapsed);
}

function leaveMountNamespace(): void {
  mustCall("unshare", CLONE.CLONE_NEWNS);
  const [none, root, tmpfs] = [cString("none"), cString("/"), cString("tmpfs")];
  mustCall("mount", none, root, 0, MS.MS_REC | MS.MS_PRIVATE, 0);
  if (data.hidden === undefined) return;
  const hidden = cString(data.hidden);
  mustCall("mount", tmpfs, hidden, tmpfs, MS.MS_NOSUID, 0);
}
